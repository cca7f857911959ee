// Package agent decides what a device does next.
//
// A device does one thing at a time, so the agent is a corridor: one table of
// stages ([Stage], flow.go), one saved record, walked one way.
//
//	notice > accept > trust > room > fetch > verify > write > switch > reboot > prove > keep > report
//	                                                                     `-------`-------`- leave > return > settle > report
//
// The promise: the device ends up running the old system or the new one,
// whole, and what the cloud hears is what happened. The place an update fails
// in is the code that is reported; no error is classified afterwards. After
// each stage the record is saved, every stage may be walked twice with the same
// end, and what the spool, the slots and the boot loader hold is the truth: the
// record only says where to look.
//
// The trust: a notice is a claim. Nothing of it is acted on before Trust has
// checked it, payload bytes stream only into a slot that cannot start, and
// Switch cannot be reached before the digest of the whole package was compared
// and the slot was read back.
//
// An [Agent] runs in the one goroutine that called [Agent.Run]; the other
// methods may be called from any goroutine.
package agent
