// Package agent decides what a device does next.
//
// A device does one thing at a time, so the agent is a corridor: one table of
// stages ([Stage], flow.go), one saved record, walked one way. What is installed
// is the system in the slots, a folder of files, one file, or what a program of
// the owner's makes of a package; it comes from the cloud, or in a bundle that
// somebody brings.
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
// Switch cannot be reached before the digest of the whole package was compared,
// package and image are what a manifest signs, where there is one, and the slot
// was read back. A security version that was kept once is not undercut again.
//
// An [Agent] runs in the one goroutine that called [Agent.Run]; the other
// methods may be called from any goroutine, and say when they have been done.
// A person's word about a system on trial ([Agent.Commit], [Agent.Rollback],
// [Agent.MarkBad]) counts in place of the health check.
package agent
