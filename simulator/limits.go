package simulator

import "math"

// Limits of what users give (docs/platform-rules.md).
const (
	MaxPackages             = 500           // MaxPackages is the most packages of an account (P2).
	MaxFileSize       int64 = 1000 << 20    // MaxFileSize is the most bytes of a package file, 1,000 MB (P3).
	MaxMQTTFileSize   int64 = 16 << 20      // MaxMQTTFileSize is the most bytes of a file offered over MQTT.
	MaxPackageName          = 40            // MaxPackageName is the most characters of a package's name (P13).
	MaxDescription          = 100           // MaxDescription is the most characters of a description (P11, P16).
	MaxProductName          = 30            // MaxProductName is the most characters of a product's name.
	MaxVerifyDevices        = 10            // MaxVerifyDevices is the most devices of one verification (P17: "a few").
	MaxSourceVersions       = 10            // MaxSourceVersions is the most source versions of a job.
	MaxTargets              = 10_000        // MaxTargets is the most devices a batch names (P29).
	MaxTargetsNow           = 1_000_000     // MaxTargetsNow is MaxTargets with Rules.NowLimits.
	MaxMatches              = 10            // MaxMatches is how often a device matches a dynamic batch with Rules.NowLimits.
	MinPushRate             = 10            // MinPushRate is the fewest devices a minute (P34).
	MaxPushRate             = 1000          // MaxPushRate is the most devices a minute, unless raised (P34).
	Unlimited               = math.MaxInt32 // Unlimited as Options.MaxPushRate raises P34's upper limit out of reach.
	MinTimeout              = 1             // MinTimeout is in minutes (P20, P37).
	MaxTimeout              = 1440          // MaxTimeout is in minutes (P20, P37).
	MaxRegistration         = 100_000       // MaxRegistration is the most devices of one RegisterDevices.
	MaxNickname             = 64            // MaxNickname is the most characters of a device's nickname.
	MaxTags                 = 10            // MaxTags is the most tags of a batch.
	MaxTagKey               = 30            // MaxTagKey is the most characters of a tag's key.
	MaxTagValue             = 1024          // MaxTagValue is the most characters of a tag's value.
	MaxTagsTotal            = 4096          // MaxTagsTotal is the most characters of all keys and values of a batch.
	MaxVersions             = 1 + 10        // MaxVersions is how many modules' versions are kept of one device.
	MaxModules              = 10            // MaxModules is the most modules of a product beside the default one.
	MaxReason               = 256           // MaxReason is the most characters of a task's reason that are kept.
)

// Suffixes are what the name of a package file may end in (P3).
func Suffixes() []string { return []string{".bin", ".tar", ".gz", ".tar.gz", ".zip", ".gzip"} }

// SuffixesNow are those of later documents, with Rules.NowLimits.
func SuffixesNow() []string { return append(Suffixes(), ".dav", ".apk", ".tar.xz", ".pack") }

// RetryMinutes are the intervals that a retry may wait, in minutes; 0 is at once (P35).
func RetryMinutes() []int { return []int{0, 10, 30, 60, 1440} }

// RetryCounts are how often a failed device may be tried again (P36).
func RetryCounts() []int { return []int{1, 2, 5} }
