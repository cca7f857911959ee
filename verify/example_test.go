package verify_test

import (
	"crypto/ed25519"
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"time"

	"github.com/leapslot/ota/verify"
)

// A build host signs what an image is and for whom; a device asks whether it may
// install what was announced, and goes by what is signed from there on.
func ExampleTrust_Check() {
	image := []byte("a whole system")
	sum := sha256.Sum256(image)
	content := verify.Content{Size: int64(len(image)), SHA256: hex.EncodeToString(sum[:])}

	// The build host. The text goes into the package's custom info.
	pub, key, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		fmt.Println(err)
		return
	}
	signed, err := verify.SignManifest(verify.Manifest{
		Product: "a1b2c3", Module: "default", Version: "1.1.0", Package: content, Image: content, SecurityVersion: 2,
	})
	if err != nil {
		fmt.Println(err)
		return
	}
	if err := signed.Sign(key, ""); err != nil {
		fmt.Println(err)
		return
	}
	udi, err := signed.Text()
	if err != nil {
		fmt.Println(err)
		return
	}

	// The device. Its keys are read by LoadPublicKeys, and the notice comes from
	// the cloud.
	trust, err := verify.NewTrust(verify.RequireManifest, verify.KeySet{Threshold: 1, Keys: []verify.Key{{Name: "product.pem", Public: pub}}})
	if err != nil {
		fmt.Println(err)
		return
	}
	notice, err := verify.NoticeOf(udi)
	if err != nil {
		fmt.Println(err)
		return
	}
	device := verify.Device{Product: "a1b2c3", Version: "1.0.0", SecurityVersion: 2, Now: time.Now()}
	grant, err := trust.Check(notice, device)
	fmt.Println(grant.ImageSize, grant.SecurityVersion, err)

	device.SecurityVersion = 3 // a hole was closed since
	_, err = trust.Check(notice, device)
	fmt.Println(err)
	// Output:
	// 14 2 <nil>
	// trust: manifest: its security version is 2, this device is at 3 and does not go back
}
