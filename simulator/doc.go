// Package simulator is the cloud as a town of rules: products, devices, modules,
// packages, jobs and tasks, and what becomes of them when a user commands, a
// device reports or time passes. It answers one question: what does the cloud do
// next?
//
// It is a value. Nothing here reads a clock, a disk or a network: the time is an
// argument, randomness is a reader given to New, and what has to be stored and
// sent comes out as Changes and Pushes. Package server drives it: it collects
// commands and events, applies them, stores the changes in one transaction and
// only then sends.
//
// The promise: whatever arrives in whatever order, a device has at most one
// active task (P24; by an option of the product one for each module), no more
// devices a minute get a notice than a batch allows (P34), no task succeeds
// without the target version having been reported (P45), none is tried again by
// itself after a timeout or a cancellation (P51), and Undo gives back exactly the
// state of the last Commit. A refused command changes nothing. The same inputs at
// the same times come to the same state.
//
// The source document is the default. Where it contradicts itself, or later
// documents changed a rule, the other way is an option of the product: see Rules.
//
// Nothing that devices or users say is trusted to be well formed: commands are
// validated and answer with an *Error that names the field and the limit; a
// device's event that makes no sense is ignored.
//
// Rule numbers (P1 to P55) are those of docs/platform-rules.md.
package simulator
