package simulator_test

import (
	"crypto/rand"
	"fmt"
	"time"

	"github.com/leapslot/ota"
	"github.com/leapslot/ota/simulator"
)

// A cloud is a value: commands and events go in, with the time they happen at, and what
// is to be stored and sent comes out.
func Example() {
	cloud := simulator.New(simulator.Options{Random: rand.Reader})
	now := time.Date(2026, 11, 1, 8, 0, 0, 0, time.UTC)
	do := func(cmd simulator.Command) any {
		result, err := cloud.Apply(cmd, now)
		if err != nil {
			fmt.Println("refused:", err) // an *Error that names the field and the limit
		}
		return result
	}

	product := do(simulator.CreateProduct{Account: "me", Name: "lamp"}).(simulator.Product)
	do(simulator.RegisterDevices{Product: product.Key, Names: []string{"lamp-1"}})
	lamp := ota.Device{ProductKey: product.Key, Name: "lamp-1"}
	cloud.Happen(simulator.Online{Device: lamp}, now)
	cloud.Happen(simulator.Informed{Device: lamp, Version: "1.0"}, now)

	firmware := do(simulator.CreatePackage{
		Product: product.Key, Name: "firmware", Version: "2.0", SignMethod: ota.MD5, NeedToVerify: true,
		Files: []simulator.File{{Name: "fw.bin", Key: "where it is", Size: 4, MD5: "8eb1b522f60d11fa897de1dc6351b7e8"}},
	}).(simulator.Package)
	do(simulator.CreateStaticJob{Package: firmware.ID, Target: simulator.TargetAll}) // P17
	job := do(simulator.CreateVerifyJob{Package: firmware.ID, Devices: []string{"lamp-1"}, TimeoutMinutes: 10}).(simulator.Job)

	// First the changes are stored. Had that failed, Undo would take them back.
	fmt.Println("rows to store:", cloud.Changes().Rows())
	cloud.Commit()
	for _, push := range cloud.TakePushes() {
		fmt.Println("notice for", push.Device.Name, "of version", push.Task.Version)
	}

	cloud.Happen(simulator.Progressed{Device: lamp, Step: 40}, now)
	fmt.Println("wakes up in", cloud.Next().Sub(now)) // the timeout
	now = now.Add(time.Minute)
	cloud.Happen(simulator.Informed{Device: lamp, Version: "2.0"}, now)
	fmt.Printf("%+v\n", do(simulator.FindJob{Job: job.ID}).(simulator.Job).Counts)
	// Output:
	// refused: Package: package p000000000001 must be verified on a few devices before it can be used in a batch
	// rows to store: 6
	// notice for lamp-1 of version 2.0
	// wakes up in 10m0s
	// {Queued:0 Notified:0 InProgress:0 Succeeded:1 Failed:0 Canceled:0 Unconfirmed:0}
}
