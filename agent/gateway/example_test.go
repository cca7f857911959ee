package gateway_test

import (
	"context"
	"fmt"
	"os"

	"github.com/leapslot/ota"
	"github.com/leapslot/ota/agent/fetch"
	"github.com/leapslot/ota/agent/gateway"
	"github.com/leapslot/ota/agent/link"
	"github.com/leapslot/ota/verify"
)

// Example plays two sub-devices: one that a program updates, and one on a bus that
// this firmware speaks itself.
func Example() {
	if err := subDevices(context.Background(), "/var/lib/otad/subs"); err != nil {
		fmt.Println(err)
	}
}

func subDevices(ctx context.Context, dir string) error {
	hub := ota.Device{ProductKey: "YOUR_PRODUCT", Name: "hub-1"}
	meter := ota.Device{ProductKey: "YOUR_METERS", Name: "meter-1"}
	valve := ota.Device{ProductKey: "YOUR_VALVES", Name: "valve-1"}

	// The gateway's own connection; its own agent uses it as well.
	cloud, err := link.New(link.Config{
		URL:         "mqtts://YOUR_PRODUCT.iot-as-mqtt.cn-shanghai.aliyuncs.com:1883",
		Credentials: ota.Credentials{Device: hub, Secret: os.Getenv("DEVICE_SECRET")},
	})
	if err != nil {
		return err
	}
	behind, err := cloud.Gateway([]ota.Device{meter, valve})
	if err != nil {
		return err
	}
	downloads, err := fetch.New(fetch.Options{})
	if err != nil {
		return err
	}
	trust, err := verify.NewTrust(verify.RequireDigest, verify.KeySet{})
	if err != nil {
		return err
	}
	g, err := gateway.New(gateway.Config{
		Gateway: hub, Cloud: behind, Downloads: downloads, Trust: trust, Dir: dir,
		Devices: []gateway.Device{
			{
				Device: meter, Secret: os.Getenv("METER_SECRET"), Current: "1.0.0",
				Install: gateway.Command{Argv: []string{"/usr/bin/flash-meter", "--port", "/dev/ttyS1"}}.Install,
			},
			{
				Device: valve, Secret: os.Getenv("VALVE_SECRET"),
				Version: bus{7}.version,
				Install: bus{7}.install,
			},
		},
	})
	if err != nil {
		return err
	}
	ctx, stop := context.WithCancel(ctx)
	linked := make(chan struct{})
	go func() {
		defer close(linked)
		cloud.Run(ctx)
	}()
	err = g.Run(ctx)
	stop()
	<-linked
	return err
}

// bus is where the valve hangs.
type bus struct{ address int }

func (b bus) version(context.Context) (string, error) { return "1.0.0", nil }

func (b bus) install(_ context.Context, u gateway.Update) error {
	if b.open() {
		return fmt.Errorf("the valve is open: %w", gateway.ErrLater)
	}
	image, err := os.ReadFile(u.Path)
	if err != nil {
		return err
	}
	return b.write(image)
}

func (b bus) open() bool         { return false }
func (b bus) write([]byte) error { return nil }
