package agent_test

import (
	"context"
	"errors"
	"fmt"
	"log"
	"os"
	"strings"

	"github.com/leapslot/ota"
	"github.com/leapslot/ota/agent"
	"github.com/leapslot/ota/agent/fetch"
	"github.com/leapslot/ota/agent/link"
	"github.com/leapslot/ota/platform"
	"github.com/leapslot/ota/platform/durable"
	"github.com/leapslot/ota/platform/files"
	"github.com/leapslot/ota/verify"
)

// Example is the manual of embedding the agent in a firmware of your own: make
// the parts, give them to New, and run it. Everything that touches the machine
// is behind platform.Slot, platform.Boot and platform.Power; the parts of
// platform/files used here are the ones for ordinary files.
func Example() {
	if err := firmware(context.Background(), "/var/lib/gateway"); err != nil {
		log.Print(err)
	}
}

func firmware(ctx context.Context, stateDir string) error {
	// One agent at a time: the lock is gone with the process.
	lock, err := durable.Lock(stateDir)
	if err != nil {
		return err
	}
	defer lock.Unlock()

	// What must survive a power cut: the record in two copies, and the spool
	// that patches wait in.
	record, err := durable.OpenPair(stateDir, "record")
	if err != nil {
		return err
	}
	spool, err := durable.OpenSpool(stateDir + "/spool")
	if err != nil {
		return err
	}
	defer spool.Close()

	// The machine: two slots and the boot loader that chooses between them.
	a, err := files.NewSlot("a", stateDir+"/slot-a.img", 64<<20)
	if err != nil {
		return err
	}
	b, err := files.NewSlot("b", stateDir+"/slot-b.img", 64<<20)
	if err != nil {
		return err
	}
	boot, err := files.Open(stateDir, []string{"a", "b"}, "a", files.DefaultAttempts)
	if err != nil {
		return err
	}
	if _, err := boot.PowerOn(); err != nil { // a real boot loader has done that
		return err
	}
	bootID, err := boot.BootID() // on Linux /proc/sys/kernel/random/boot_id
	if err != nil {
		return err
	}

	// The cloud, and where packages come from.
	cloud, err := link.New(link.Config{
		URL: "mqtts://YOUR_PRODUCT.iot-as-mqtt.cn-shanghai.aliyuncs.com:1883",
		Credentials: ota.Credentials{
			Device: ota.Device{ProductKey: "YOUR_PRODUCT", Name: "gateway-1"},
			Secret: os.Getenv("DEVICE_SECRET"),
		},
	})
	if err != nil {
		return err
	}
	downloads, err := fetch.New(fetch.Options{})
	if err != nil {
		return err
	}

	// Whom to trust: with the product's secure upgrade on, the public key that
	// the console shows.
	keys, err := verify.LoadPublicKeys(stateDir+"/keys", verify.KeyOptions{})
	if err != nil {
		return err
	}
	trust, err := verify.NewTrust(verify.RequireDigestSign, keys)
	if err != nil {
		return err
	}

	device, err := agent.New(agent.Config{
		Modules: []agent.Module{
			{Name: ota.DefaultModule, Version: "1.0.0"},
			{Name: "modem", ReportOnly: true, ReadVersion: modemVersion},
		},
		Cloud: cloud, Downloads: downloads,
		Slots: [2]platform.Slot{a, b}, Boot: boot, Power: files.Supervised{}, BootID: bootID,
		Store: record, Spool: spool, Trust: trust,
		HealthCloud: true,
		Health: func(context.Context) error {
			if _, err := os.Stat("/run/application/ready"); err != nil {
				return fmt.Errorf("the application is not up: %w", err)
			}
			return nil
		},
	})
	if err != nil {
		return err
	}

	// The connection lives beside the agent.
	ctx, stop := context.WithCancel(ctx)
	defer stop()
	linked := make(chan struct{})
	go func() {
		defer close(linked)
		cloud.Run(ctx)
	}()
	err = device.Run(ctx)
	stop()
	<-linked
	if errors.Is(err, agent.ErrReboot) {
		os.Exit(4) // the supervisor, or init, starts the other slot
	}
	return err
}

func modemVersion(context.Context) (string, error) {
	b, err := os.ReadFile("/sys/class/modem/version")
	return strings.TrimSpace(string(b)), err
}
