package ota

// Event is what reaches a device from its cloud: a message on one of its own
// topics or, with a Kind of 0 and no payload, the news that the connection is
// up (again) and that what is owed can be sent.
type Event struct {
	Kind    TopicKind
	Payload []byte // owned by the receiver
}
