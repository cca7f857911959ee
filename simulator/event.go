package simulator

import "github.com/leapslot/ota"

// Event is what a device does. One that makes no sense is ignored: devices are not
// trusted, and they are not told.
type Event interface {
	happen(c *Cloud, now Stamp)
}

// Online means that the device has connected. What it has not finished is pushed
// again (P4).
type Online struct{ Device ota.Device }

// Offline means that the device's connection has ended.
type Offline struct{ Device ota.Device }

// Informed is a version report (protocol section 2). Empty Module is default.
type Informed struct {
	Device  ota.Device
	Module  string
	Version string
}

// Progressed is a progress report (protocol section 5). Empty Module is default.
type Progressed struct {
	Device ota.Device
	Module string
	Step   ota.Step
	Desc   string
}

// Asked is the question for an upgrade (protocol section 4). It is always answered
// by a Push with a Reply.
type Asked struct {
	Device ota.Device
	Module string
	Reply  Reply
}

// Reply says how to answer a question.
type Reply struct {
	Topic ota.TopicKind // TopicGetReply or TopicRequest; 0: it is a push
	ID    string        // of the question
}

// Push is what the cloud owes a device once the changes that led to it are stored:
// a notice, or the answer to a question. Everything in it is a copy.
type Push struct {
	Device  ota.Device
	Reply   Reply
	Empty   bool // the answer: there is nothing to do
	Task    Task
	Package Package
	Tags    []Tag
	// Protocol is how the device gets the package.
	Protocol Protocol
	// SigningKey is set when the notice must carry a digestsign (P7).
	SigningKey []byte
}
