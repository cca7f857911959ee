package ota

// Bounds of the names that identify a device.
const (
	MaxProductKeyLen = 64
	MaxDeviceNameLen = 64
)

// Device names one device of one product. The zero value names none.
type Device struct {
	ProductKey string
	Name       string
}

// String gives the device as productKey/deviceName, for texts that people read.
func (d Device) String() string { return d.ProductKey + "/" + d.Name }

// Validate reports the first of the two names that is empty, too long, or has a
// character that cannot stand in a topic. Letters, digits and - _ . : @ can.
func (d Device) Validate() error {
	if err := checkName("product key", d.ProductKey, 1, MaxProductKeyLen, "-_"); err != nil {
		return err
	}
	return checkName("device name", d.Name, 1, MaxDeviceNameLen, "-_.:@")
}

// checkName says why s is not a name of lo to hi characters made of ASCII
// letters, digits and those in extra.
func checkName(what word, s string, lo, hi int, extra string) error {
	if len(s) < lo || len(s) > hi {
		return say("%s %.80q has %d characters, allowed are %d to %d", what, s, len(s), lo, hi)
	}
	for i := 0; i < len(s); i++ {
		if !isWord(s[i]) && !contains(extra, s[i]) {
			return say("%s %q has the character %q, allowed are letters, digits and %q", what, s, s[i], extra)
		}
	}
	return nil
}

func isWord(c byte) bool {
	return 'a' <= c && c <= 'z' || 'A' <= c && c <= 'Z' || '0' <= c && c <= '9'
}

func contains(set string, c byte) bool {
	for i := 0; i < len(set); i++ {
		if set[i] == c {
			return true
		}
	}
	return false
}
