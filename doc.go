// Package ota is the wire between a device and the cloud that updates it: the
// OTA protocol of Alibaba Cloud IoT Platform over MQTT. It holds what both ends
// need and what is true without a disk, a network or a clock: how a device
// signs in, the topics, the messages, the step codes, names and their limits.
//
// The promise: what is encoded here is exactly what devices in the field
// understand, and everything they are known to send is decoded, or refused
// with an error that says which field broke which limit. No input makes this
// package panic or allocate more than a small multiple of its own length.
//
// Nothing here is trusted: a [Notice] is a claim of whoever could publish it
// until package verify has checked its digest or signature.
//
// Section numbers in comments ("protocol section 3") are those of
// docs/protocol.md.
package ota
