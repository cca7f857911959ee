//go:build !pkcs11

package main

func openToken(deviceConfig) (chip, error) {
	return nil, exitf(exitConfig, "device.token", "a PKCS#11 token is not possible with this build (build with CGO_ENABLED=1 and -tags pkcs11, or use device_secret_file)")
}
