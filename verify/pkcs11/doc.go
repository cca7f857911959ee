// Package pkcs11 uses keys in a PKCS#11 token: a security module, a smart card,
// a secure element with such a driver.
//
// It has code only with the build tag pkcs11, because the driver is a C library
// and the program is no longer static with it:
//
//	go build -tags pkcs11 ./...
//
// The promise: the private key of the TLS client certificate, and the device's
// secret where the token can hold one, sign inside the token. Nothing is
// created, changed or removed there.
//
// The trust: the driver runs in the process and may do anything. The token is
// used by whoever has the PIN.
package pkcs11
