// Package server runs the cloud: it stands between the model of package simulator
// and the world.
//
//	devices ──broker──┐                                   ┌──broker──> devices
//	users ───openapi──┼─> inbox ─> model ─> store ─> sender ┤
//	time ─────────────┘                                   └──answers─> users
//
// One goroutine owns the model. It takes what has piled up in the inbox, applies
// it, stores all of it in one transaction, and only then sends and answers. The
// promise: what was answered, or acknowledged to a device with a PUBACK, is stored
// and survives kill -9 and a power cut; a batch that could not be stored is taken
// back as a whole, its commands are answered with an error, its device events are
// tried again, and nothing of it is sent.
//
// There is no second table for what has to be sent: a task that is pushed and not
// finished is owed to its device, and is sent whenever the device comes online.
// After a crash between saving and sending every device connects anew, so each
// notice is sent at least once (F3).
//
// What applications are told is another matter: it has no second chance. It is stored
// with the change that it tells of, and delivered to the webhook until it is received.
//
// Secrets are stored sealed, access keys among them (package store). The clock of the
// rules may run faster than the world's, for rehearsals.
//
// Nothing that arrives is trusted: what a device sends is decoded under the limits
// of package ota, and counted and dropped when it makes no sense.
package server
