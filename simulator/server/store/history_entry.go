package store

import (
	"github.com/leapslot/ota"
	"github.com/leapslot/ota/simulator"
)

// EntryKind is what an Entry is about.
type EntryKind int

// The kinds. Their numbers are stored.
const (
	EntryConnect    EntryKind = iota + 1 // the device is connected; the payload says from where
	EntryDisconnect                      // and not any more; the payload is why, in a word
	EntryInform                          // up: a version
	EntryProgress                        // up
	EntryAsk                             // up: asks for an upgrade
	EntryNotice                          // down: a notice, or the answer to having asked
	EntryBlockAsk                        // up: asks for a block of a file
	EntryBlock                           // down: the head of its answer, without the block
	EntryGateway                         // up and down: what gateways say
	EntryRegister                        // the device was given credentials, which are not kept
	EntryDownload                        // a request for a file over HTTP, answered
	EntryTask                            // a task has come to another state
	EntryLost                            // of no device: Size messages were not recorded
)

var entryWords = [...]string{
	"", "connect", "disconnect", "inform", "progress", "ask", "notice", "block-ask", "block", "gateway", "register", "download", "task", "lost",
}

// String gives the kind in a word.
func (k EntryKind) String() string {
	if k < 0 || int(k) >= len(entryWords) {
		return ""
	}
	return entryWords[k]
}

// ParseEntryKind reads the word; 0 for none.
func ParseEntryKind(s string) EntryKind {
	for k := EntryConnect; k < EntryLost; k++ {
		if k.String() == s {
			return k
		}
	}
	return 0
}

// EntryKinds are the kinds that a device can have entries of.
func EntryKinds() []EntryKind {
	var all []EntryKind
	for k := EntryConnect; k < EntryLost; k++ {
		all = append(all, k)
	}
	return all
}

// Entry is something that a device has said, was told or has come to.
type Entry struct {
	ID      int64 // grows with time
	At      simulator.Stamp
	Device  ota.Device // not read back: one asks for those of a device
	Kind    EntryKind
	Topic   ota.TopicKind // of a message, else 0
	QoS     byte
	Size    int64  // bytes of the message or of the download, before the payload was cut
	Task    string // where it is known
	Payload []byte // at most MaxEntryPayload; without secrets: who appends it sees to that
}

// Up and Down say which way a message went; neither is true of what is none.
func (e *Entry) Up() bool { return e.Topic != 0 && !e.Down() }

// Down reports whether the cloud has sent it.
func (e *Entry) Down() bool {
	switch e.Kind {
	case EntryNotice, EntryBlock:
		return true
	case EntryGateway:
		return e.Topic.Down()
	}
	return false
}
