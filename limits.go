package ota

import "unicode/utf8"

// Limits of names and messages (protocol sections 1, 5 and 10; rules P9, P11, P14).
const (
	DefaultModule     = "default" // DefaultModule is the device's whole firmware; on the wire it may be absent (P8).
	MaxVersionLen     = 64
	MaxModuleLen      = 64
	MinAliasLen       = 4
	MaxAliasLen       = 64
	MaxDescLen        = 128       // MaxDescLen is the most characters of a progress report's desc.
	MaxMessageLen     = 256 << 10 // MaxMessageLen is the most bytes of an MQTT message.
	MaxTopicLen       = 128
	MaxTopicSlashes   = 7
	MaxUDILen         = 4096 // MaxUDILen is the most characters of a package's custom info.
	MaxExtDataLen     = 64 << 10
	MaxURLLen         = 2048    // MaxURLLen bounds what is accepted.
	MaxEmittedURLLen  = 249     // MaxEmittedURLLen bounds what is emitted: the C SDK's buffer.
	MaxDigestSignLen  = 4 << 10 // MaxDigestSignLen is the most characters of a digestsign.
	MaxFiles          = 20      // MaxFiles is the most files of one package.
	MaxFileNameLen    = 255
	MaxPackageSize    = 1 << 40  // MaxPackageSize bounds a size on the wire; the cloud's own limits are lower.
	MaxMQTTFileSize   = 16 << 20 // MaxMQTTFileSize is the most bytes of a file that is downloaded over MQTT.
	MinBlockSize      = 256      // MinBlockSize and MaxBlockSize bound a block of a download over MQTT.
	MaxBlockSize      = 128 << 10
	maxJSONDepth      = 32
	maxIDLen          = 64
	maxClientIDLen    = 64
	maxRawClientIDLen = 512
	maxSecretLen      = 256
)

// CheckVersion says why s is not the version of a module: 1 to 64 of A-Z a-z 0-9 . _ - (P14).
func CheckVersion(s string) error { return checkName("version", s, 1, MaxVersionLen, "._-") }

// CheckModule says why s is not the name of a module: 1 to 64 of A-Z a-z 0-9 . _ - (P9).
func CheckModule(s string) error { return checkName("module", s, 1, MaxModuleLen, "._-") }

// CheckAlias says why s is not the alias of a module: 4 to 64 of A-Z a-z 0-9 . _ - (P10).
func CheckAlias(s string) error { return checkName("alias", s, MinAliasLen, MaxAliasLen, "._-") }

// CheckText says why s is not a text of at most hi characters, each Unicode
// character counting as one (P11, P16).
func CheckText(what, s string, hi int) error {
	if !utf8.ValidString(s) {
		return say("%s is not valid UTF-8", word(what))
	}
	if n := utf8.RuneCountInString(s); n > hi {
		return say("%s has %d characters, allowed are at most %d", word(what), n, hi)
	}
	return nil
}

// clip shortens s to at most n characters, never inside of one.
func clip(s string, n int) string {
	s = toValid(s)
	if utf8.RuneCountInString(s) <= n {
		return s
	}
	for i := range s {
		if n == 0 {
			return s[:i]
		}
		n--
	}
	return s
}

func toValid(s string) string {
	if utf8.ValidString(s) {
		return s
	}
	return string([]rune(s))
}
