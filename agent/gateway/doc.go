// Package gateway plays the devices behind a gateway: those without a network of
// their own, that the cloud updates all the same. The gateway's own agent updates
// the gateway; this one, beside it and over the same connection, logs each
// sub-device in, reports its version, fetches and verifies what is announced for it
// and hands the file to whoever can bring it there: a callback, or a program
// ([Command]).
//
//	log in > notice > fetch (-2) > verify (-3) > install (-4) > the announced version? (-1) > report
//
// The promise: nothing is handed to an installer that is not, byte for byte, what
// was announced for this sub-device and what the trust policy asks for. One
// sub-device is updated at a time. What is under way is recorded, so that a download
// goes on where a power cut has stopped it, after the cloud was asked whether it
// still wants it. How an update ended is said until the cloud has confirmed it: in
// gateways' QoS 0 that is a question asked after the report, and answered. A
// sub-device that is refused or thrown out is logged in again, ever more rarely. The
// failure of one sub-device does not touch another one, nor the gateway.
//
// The trust: the installer. It may be called twice for one update, when the power
// was cut while it ran, and what it says is believed only as far as the version that
// the sub-device reports afterwards. Where there is no way to ask a sub-device for
// its version, the installer's word is all there is.
package gateway
