package report

import "fmt"

// State is where a device is. Every device is in exactly one.
type State uint8

// The states, in the order of a device's way. Plots stack them with the last one at
// the bottom.
const (
	Waiting     State = iota // not started yet
	Offline                  // away because its behaviour or a reboot wants it
	Connecting               // from the moment it was due until it is signed in
	Online                   // signed in, nothing to do
	Notified                 // has a notice, no byte of the package yet
	Downloading              // has the first byte
	Verifying                // digest and signature
	Rebooting                // disconnected, comes back with the new version
	Updated                  // the new version was reported, as wanted
	Failed                   // the update ended otherwise
	states
)

// Counter is a number of events.
type Counter uint8

// The counters.
const (
	Connects         Counter = iota // connections begun
	Connected                       // CONNACK 0
	ConnectFailures                 // TCP, TLS or no CONNACK in time
	ConnectRefused                  // CONNACK with another code
	Disconnects                     // connections that ended without the device's wish
	Reconnects                      // CONNACK 0 of a device that was connected before
	NoticesPushed                   // notices that came by themselves
	NoticesPulled                   // notices that came as the answer to a question
	DuplicateNotices                // a notice of the version that the device has begun already
	OutOfOrder                      // messages that came in a wrong order: an answer to nothing, a block twice, an older notice
	Retries                         // notices of an update that has failed before
	Downloads                       // begun
	Downloaded                      // whole
	Bytes                           // bytes of packages that arrived, wasted ones too
	BytesWasted                     // bytes that arrived and could not be used
	Resumes                         // downloads that went on from where they stopped
	Busy                            // answers 503 and 429
	DownloadErrors                  // all other answers and broken connections
	Blocks                          // file blocks over MQTT
	Progress                        // progress reports sent
	Versions                        // version reports sent
	Messages                        // messages sent, all
	Received                        // messages received, all
	Unanswered                      // questions without an answer in time
	counters
)

// Measure is something of which each device contributes values to a histogram:
// durations, and one speed.
type Measure uint8

// The measures. Connect counts from the time when the connection was due.
const (
	Connect         Measure = iota // due to CONNACK
	ConnectTCP                     // the handshake of TCP
	ConnectTLS                     // the handshake of TLS
	ConnectMQTT                    // CONNECT to CONNACK
	NoticeToByte                   // notice to the first byte of the package
	Download                       // first byte to the last one
	DownloadSpeed                  // kB/s of one download, 1,000 bytes each
	Verify                         // digest and signature
	NoticeToSuccess                // notice to the new version reported
	PushLateness                   // push to its place in the wanted rate
	Reconnect                      // connection lost to signed in again
	Lateness                       // how late the generator did what was due
	measures
)

// Outcome is how an update of one device ended.
type Outcome uint8

// The outcomes. The failures are those of protocol section 5.
const (
	Succeeded Outcome = iota
	UpgradeFailed
	DownloadFailed
	VerifyFailed
	WriteFailed
	OtherFailed   // a negative code below -4
	TimedOut      // the cloud gave up
	NeverAnswered // had a notice and never said anything
	NotReached    // never had a notice
	Unfinished    // still under way when the run ended
	outcomes
)

// name is how one of the above is called: in files, and for people.
type name struct{ key, label, about string }

var stateNames = [states]name{
	Waiting:     {"waiting", "waiting", "not started yet"},
	Offline:     {"offline", "offline", "away on purpose"},
	Connecting:  {"connecting", "connecting", "signing in"},
	Online:      {"online", "online", "signed in, nothing to do"},
	Notified:    {"notified", "notified", "has a notice"},
	Downloading: {"downloading", "downloading", ""},
	Verifying:   {"verifying", "verifying", "digest and signature"},
	Rebooting:   {"rebooting", "rebooting", ""},
	Updated:     {"updated", "updated", "reported the new version"},
	Failed:      {"failed", "failed", "the update ended otherwise"},
}

var counterNames = [counters]name{
	Connects:         {"connects", "connections begun", ""},
	Connected:        {"connected", "signed in", ""},
	ConnectFailures:  {"connect_failures", "connections failed", "TCP, TLS, or no CONNACK in time"},
	ConnectRefused:   {"connect_refused", "connections refused", "CONNACK with another code than 0"},
	Disconnects:      {"disconnects", "connections lost", "ended without the device's wish"},
	Reconnects:       {"reconnects", "signed in again", ""},
	NoticesPushed:    {"notices_pushed", "notices pushed", ""},
	NoticesPulled:    {"notices_pulled", "notices pulled", "answers to a question"},
	DuplicateNotices: {"duplicate_notices", "duplicate notices", "of what the device has begun already"},
	OutOfOrder:       {"out_of_order", "out of order", "messages that came in a wrong order"},
	Retries:          {"retries", "retries", "notices of an update that failed before"},
	Downloads:        {"downloads", "downloads begun", ""},
	Downloaded:       {"downloaded", "downloads finished", ""},
	Bytes:            {"bytes", "bytes downloaded", ""},
	BytesWasted:      {"bytes_wasted", "bytes wasted", "arrived and could not be used"},
	Resumes:          {"resumes", "downloads resumed", ""},
	Busy:             {"busy", "told to wait", "answers 503 and 429"},
	DownloadErrors:   {"download_errors", "download errors", "other answers, broken connections"},
	Blocks:           {"blocks", "blocks over MQTT", ""},
	Progress:         {"progress", "progress reports", ""},
	Versions:         {"versions", "version reports", ""},
	Messages:         {"messages", "messages sent", ""},
	Received:         {"received", "messages received", ""},
	Unanswered:       {"unanswered", "unanswered questions", ""},
}

var measureNames = [measures]name{
	Connect:         {"connect", "connect", "from the time it was due to CONNACK"},
	ConnectTCP:      {"connect_tcp", "connect: TCP", ""},
	ConnectTLS:      {"connect_tls", "connect: TLS", ""},
	ConnectMQTT:     {"connect_mqtt", "connect: CONNACK", "from CONNECT"},
	NoticeToByte:    {"notice_to_byte", "notice to first byte", ""},
	Download:        {"download", "download", "first byte to last"},
	DownloadSpeed:   {"download_speed", "download speed", "of one device"},
	Verify:          {"verify", "verification", "digest and signature"},
	NoticeToSuccess: {"notice_to_success", "notice to success", "to the new version reported"},
	PushLateness:    {"push_lateness", "push lateness", "behind its place in the wanted rate"},
	Reconnect:       {"reconnect", "reconnect", "from connection lost to signed in"},
	Lateness:        {"lateness", "generator's lateness", "behind what was due"},
}

var outcomeNames = [outcomes]name{
	Succeeded:      {"success", "success", ""},
	UpgradeFailed:  {"-1", "-1 upgrade failed", ""},
	DownloadFailed: {"-2", "-2 download failed", ""},
	VerifyFailed:   {"-3", "-3 verification failed", ""},
	WriteFailed:    {"-4", "-4 writing failed", ""},
	OtherFailed:    {"other", "other failure", ""},
	TimedOut:       {"timeout", "timeout", "the cloud gave up"},
	NeverAnswered:  {"never_answered", "never answered", ""},
	NotReached:     {"not_reached", "never notified", ""},
	Unfinished:     {"unfinished", "unfinished", "when the run ended"},
}

// String gives the name in files.
func (s State) String() string   { return stateNames[s].key }
func (c Counter) String() string { return counterNames[c].key }
func (m Measure) String() string { return measureNames[m].key }
func (o Outcome) String() string { return outcomeNames[o].key }

// Label gives the name for people.
func (s State) Label() string   { return stateNames[s].label }
func (c Counter) Label() string { return counterNames[c].label }
func (m Measure) Label() string { return measureNames[m].label }
func (o Outcome) Label() string { return outcomeNames[o].label }

// OutcomeOf is the outcome that a final step means: 100 is success, a negative
// step its failure.
func OutcomeOf(step int) Outcome {
	switch {
	case step >= 0:
		return Succeeded
	case step >= -4:
		return Outcome(-step)
	}
	return OtherFailed
}

// find gives the place of the name, for reading files.
func find(names []name, key string) (int, error) {
	for i, n := range names {
		if n.key == key {
			return i, nil
		}
	}
	return 0, fmt.Errorf("%.40q is not known", key)
}
