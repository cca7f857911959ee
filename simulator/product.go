package simulator

import (
	"crypto/sha256"
	"math/big"

	"github.com/leapslot/ota"
)

// Product is a kind of device. Its devices share modules and packages (P5, P8).
type Product struct {
	Key     string // given by the cloud, unique
	Account string // whose it is; tenants see only their own
	Name    string
	Secret  string // for dynamic registration
	Desc    string

	// NodeType 0 is a device, 1 a gateway.
	NodeType int
	// SecureUpgrade has notices carry a digestsign made with SigningKey (P7).
	SecureUpgrade bool
	// SigningKey is an RSA private key, PKCS #8 PEM; empty until secure upgrade was
	// first switched on. The model keeps it and never looks into it.
	SigningKey []byte
	// PublicKey belongs to SigningKey, PKIX PEM: what the user copies (P7).
	PublicKey []byte
	// Rules are the product's options; zero is the source document.
	Rules Rules

	Created  Stamp
	Revision int64
}

// Module is an upgradable part of a product's devices beside the default one (P8).
type Module struct {
	Product  string
	Name     string // unique in the product, immutable (P9)
	Alias    string
	Desc     string
	Created  Stamp
	Modified Stamp
	Revision int64
}

// Device is one registered device.
type Device struct {
	ota.Device
	Secret   string
	Nickname string
	Disabled bool

	// Versions are what the device last reported, one for a module. The slice is
	// never changed in place.
	Versions []Version

	// More is what few devices have, nil if it has none of it. Never changed in place.
	More *More

	Registered Stamp
	Activated  Stamp // first time online; 0 is never
	LastOnline Stamp // stored no more often than the rest of the device changes
	Revision   int64

	// Online is not stored: after a start no device is online until it connects.
	Online bool
}

// Version is what a device reported of one module.
type Version struct {
	Module  string
	Version string
	At      Stamp
	// JudgeAt is when the report is judged against tasks and dynamic batches, unless a
	// newer one comes first; 0 is that it has been, or means nothing.
	JudgeAt Stamp `json:",omitempty"`
}

// More is what only some devices have.
type More struct {
	Matches []Match  `json:",omitempty"`
	Groups  []string `json:",omitempty"` // ids of the groups it is in

	// Gateway is what the device is a sub-device of, and Subs are the sub-devices of a
	// gateway, in the order they were taken in. The relation holds while both say so.
	Gateway *ota.Device  `json:",omitempty"`
	Subs    []ota.Device `json:",omitempty"`
}

// Match is how often a device has matched a dynamic batch.
//
// Version is what it ran and still runs, empty when it has left it since: then it may
// match again.
type Match struct {
	Job     string
	N       int
	Version string
}

// Status is UNACTIVE, ONLINE, OFFLINE or DISABLE, as the cloud API spells it.
func (d *Device) Status() string {
	switch {
	case d.Disabled:
		return "DISABLE"
	case d.Online:
		return "ONLINE"
	case d.Activated == 0:
		return "UNACTIVE"
	}
	return "OFFLINE"
}

// Version gives the last reported version of a module, "" if none was reported.
func (d *Device) Version(module string) string {
	for i := range d.Versions {
		if d.Versions[i].Module == module {
			return d.Versions[i].Version
		}
	}
	return ""
}

// IotID is the device's id in the cloud API. It follows from the device's names and
// secret, does not give the secret away, and is another one when the device is
// deleted and registered again.
func (d *Device) IotID() string {
	h := sha256.New()
	for _, s := range []string{"iotId", d.ProductKey, d.Name, d.Secret} {
		h.Write([]byte{byte(len(s) >> 8), byte(len(s))})
		h.Write([]byte(s))
	}
	const n = 25 // digits to base 62, and then the tail that such ids have
	text := new(big.Int).SetBytes(h.Sum(nil)).Text(62)
	return text[:n] + "000100"
}
