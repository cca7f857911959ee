// Package fleet plays devices: tens of thousands in one process, each of which signs in,
// reports its versions, takes notices, downloads what is announced, checks it, says how
// far it is, restarts and reports what it has become. It is how a cloud is tried under
// load, ours or another one that speaks the protocol.
//
// Two kinds of devices are played. The small client is one goroutine, and no buffer while
// it waits (device.go); it can be made to misbehave in the ways of a [Behaviour]. The
// other kind is the agent itself, with its own connection and slots in memory
// (agents.go): a share of these keeps the model honest, and a test compares what both
// kinds send.
//
// The promise: what is counted has happened on the wire; an update counts as a success
// when the cloud has acknowledged the report of the new version, and the package was
// downloaded and compared for that. Latency counts from when something was due, so that
// a generator that is late does not hide that the cloud is slow. The same scenario, seed
// and list of devices give the same fleet, whichever shard of it is played.
//
// The trust: none. What the cloud sends is bounded and decoded as a device does; a fleet
// on this machine's broker fetches nothing from another machine.
package fleet
