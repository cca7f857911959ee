package main

import (
	"crypto"
	"errors"
	"os"
	"path/filepath"
	"strings"

	"github.com/leapslot/ota"
	"github.com/leapslot/ota/agent/link"
	"github.com/leapslot/ota/verify"
)

// What client_key is when the key is no file.
const (
	keyInTPM   = "tpm:"
	keyInToken = "token:"
)

// chip is a TPM, or a token, as otad uses it. What was not set up in it is errNotSetUp.
type chip interface {
	signer() (ota.Signer, error)
	clientKey() (crypto.Signer, error)
	counter() (verify.Counter, error)
	Maker() string
	Close() error
	// at says where it is, and howTo what puts something into it.
	at() string
	howTo(what string) string
}

// errNotSetUp means that the TPM does not hold it.
var errNotSetUp = errors.New("it has not been set up there")

// openTPM opens the TPM of the configuration; nil when there is none in it.
func openTPM(c *config) (chip, error) {
	if c.Device.Token != "" {
		return openToken(c.Device)
	}
	if c.Device.TPM == "" {
		return nil, nil
	}
	return openChip(c.Device.TPM)
}

func closeTPM(t chip) {
	if t != nil {
		t.Close()
	}
}

// credentials are what the device signs in with: a secret, or the TPM that has it.
func credentials(d deviceConfig, t chip) (ota.Credentials, error) {
	c := ota.Credentials{Device: ota.Device{ProductKey: d.ProductKey, Name: d.DeviceName}, Method: ota.HMACMethod(d.SignMethod)}
	if t == nil {
		var err error
		c.Secret, err = deviceSecret(d)
		return c, err
	}
	secret, err := t.signer()
	if errors.Is(err, errNotSetUp) {
		return c, exitf(exitConfig, "device", "%s: the device secret: %w (%s)", t.at(), err, t.howTo("secret"))
	}
	if err != nil {
		return c, exitf(exitConfig, "device", "%s: %w (see otad doctor)", t.at(), err)
	}
	c.Signer = secret
	return c, nil
}

// deviceSecret is the one of the configuration, or that of its file, or of the
// credential that systemd gives, without the line's end.
func deviceSecret(d deviceConfig) (string, error) {
	key, path := "device.device_secret_file", d.SecretFile
	if d.Credential != "" {
		dir := os.Getenv("CREDENTIALS_DIRECTORY")
		if dir == "" {
			return "", exitf(exitConfig, "device.credential", "systemd gives no credentials (write LoadCredential=%s:PATH into the unit)", d.Credential)
		}
		key, path = "device.credential", filepath.Join(dir, d.Credential)
	}
	if path == "" {
		return d.Secret, nil
	}
	b, err := optional(key, path)
	if err != nil {
		return "", err
	}
	secret := strings.TrimSpace(string(b))
	if secret == "" {
		return "", exitf(exitConfig, key, "%s: it is empty (write the device's secret into it)", path)
	}
	return secret, nil
}

// tlsFiles reads what TLS needs.
func tlsFiles(c cloudConfig, t chip, to *link.Config) (err error) {
	key := c.ClientKey
	if key == keyInTPM || key == keyInToken {
		key = ""
		k, err := t.clientKey()
		if err != nil {
			return exitf(exitConfig, "cloud.client_key", "%s: %w (%s)", t.at(), err, t.howTo("key"))
		}
		to.ClientSigner = k
	}
	for _, f := range []struct {
		key, path string
		to        *[]byte
	}{
		{"cloud.ca_file", c.CAFile, &to.CA},
		{"cloud.client_cert", c.ClientCert, &to.ClientCert},
		{"cloud.client_key", key, &to.ClientKey},
	} {
		if *f.to, err = optional(f.key, f.path); err != nil {
			return err
		}
	}
	return nil
}
