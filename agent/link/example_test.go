package link_test

import (
	"context"
	"fmt"
	"time"

	"github.com/leapslot/ota"
	"github.com/leapslot/ota/agent/link"
)

// A service that keeps its connection to the cloud, reports its version and
// listens for upgrade notices.
func Example() {
	l, err := link.New(link.Config{
		URL: "mqtts://a1QR3GD1Db3.iot-as-mqtt.cn-shanghai.aliyuncs.com:1883",
		Credentials: ota.Credentials{
			Device: ota.Device{ProductKey: "a1QR3GD1Db3", Name: "dynamic"},
			Secret: "632155d72f983dfe24b43b30c2ed9b2f",
		},
	})
	if err != nil {
		fmt.Println(err) // says which value is wrong
		return
	}
	ctx, stop := context.WithTimeout(context.Background(), time.Hour)
	defer stop()
	go func() {
		version := ota.Inform{ID: "1", Version: "1.0.0"}.Encode()
		if err := l.Send(ctx, ota.TopicInform, version); err != nil {
			fmt.Println(err) // the context ended before the cloud acknowledged it
		}
		for {
			select {
			case e := <-l.Events():
				if e.Kind == ota.TopicUpgrade {
					notice, _, err := ota.DecodeNotice(e.Payload)
					fmt.Println(notice.Version, err)
				}
			case <-ctx.Done():
				return
			}
		}
	}()
	_ = l.Run(ctx) // until the context ends
}
