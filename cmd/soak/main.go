// Command soak runs the cloud for a while as it is not meant to be run: thousands of
// devices that lose their connections at random, fail, and do not answer, one batch after
// the other for all of them, and kill -9 of the server again and again. Then it lets
// everything settle and looks at every task: its end must be explained by what its device
// has sent, no acknowledged report may be lost, nothing may be left over, and the
// server's memory must not have grown. It prints a table, and ends with 1 when anything
// is wrong.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"slices"
	"strconv"
	"sync"
	"syscall"
	"time"

	"github.com/leapslot/ota"
)

// plan is how long and how hard.
type plan struct {
	program              string
	duration             time.Duration
	devices              int
	killEvery, nextEvery time.Duration
	settle               time.Duration
}

func main() {
	var p plan
	flag.StringVar(&p.program, "otasim", "bin/otasim", "the program that is soaked")
	flag.DurationVar(&p.duration, "duration", 10*time.Minute, "how long")
	flag.IntVar(&p.devices, "devices", 5000, "how many devices")
	flag.DurationVar(&p.killEvery, "kill", time.Minute, "time between two kill -9")
	flag.DurationVar(&p.nextEvery, "batch", 40*time.Second, "time between two batches")
	flag.DurationVar(&p.settle, "settle", 3*time.Minute, "time for everything to settle at the end")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	wrong, err := p.run(ctx, os.Stdout, os.Stderr)
	if err != nil {
		fmt.Fprintf(os.Stderr, "soak: %v\n", err)
	}
	if err != nil || wrong > 0 {
		stop()
		os.Exit(1)
	}
}

// run soaks, and says how many things are wrong.
func (p plan) run(ctx context.Context, out, progress io.Writer) (wrong int, err error) {
	dir, err := os.MkdirTemp("", "soak-")
	if err != nil {
		return 0, err
	}
	defer os.RemoveAll(dir)
	c, err := newCloud(p.program, dir)
	if err != nil {
		return 0, err
	}
	if err := c.start(); err != nil {
		return 0, err
	}
	product, devices, err := c.register(ctx, p.devices)
	if err != nil {
		c.kill()
		return 0, err
	}
	f := &fleet{addr: c.mqtt}
	living, end := context.WithCancel(ctx)
	defer end()
	var lives sync.WaitGroup
	for _, d := range devices {
		lives.Go(func() { d.run(living, f) })
	}
	jobs, err := p.disturb(ctx, c, product, progress)
	f.calm.Store(true)
	left := 0
	if err == nil {
		left, err = p.calm(ctx, c, jobs)
	}
	end()
	lives.Wait()
	r := report{plan: p, cloud: c, fleet: f, jobs: jobs, states: map[string]int{}, left: left}
	if err == nil {
		err = r.look(ctx, devices)
	}
	c.watch()
	err = errors.Join(err, c.stop())
	r.size = fileSize(dir + "/ota.db")
	return r.print(out), err
}

// register makes the product and its devices.
func (c *cloud) register(ctx context.Context, n int) (string, []*device, error) {
	var product struct{ ProductKey string }
	if err := c.ask(ctx, &product, "CreateProduct", "ProductName", "soak"); err != nil {
		return "", nil, err
	}
	var made struct{ Data struct{ ApplyId int64 } }
	if err := c.ask(ctx, &made, "BatchRegisterDevice", "ProductKey", product.ProductKey, "Count", strconv.Itoa(n)); err != nil {
		return "", nil, err
	}
	var devices []*device
	for page := 1; len(devices) < n; page++ {
		var list struct {
			ApplyDeviceList struct {
				ApplyDeviceInfo []struct{ DeviceName, DeviceSecret string }
			}
		}
		err := c.ask(ctx, &list, "QueryPageByApplyId", "ApplyId", strconv.FormatInt(made.Data.ApplyId, 10), "CurrentPage", strconv.Itoa(page), "PageSize", "50")
		if err != nil {
			return "", nil, err
		}
		for _, d := range list.ApplyDeviceList.ApplyDeviceInfo {
			devices = append(devices, &device{
				Credentials: ota.Credentials{Device: ota.Device{ProductKey: product.ProductKey, Name: d.DeviceName}, Secret: d.DeviceSecret},
				runs:        "1.0", owed: true,
			})
		}
	}
	return product.ProductKey, devices, nil
}

// disturb makes batches and kills the cloud until the time is over.
func (p plan) disturb(ctx context.Context, c *cloud, product string, progress io.Writer) (jobs []job, err error) {
	began := time.Now()
	kill, next, watch := time.NewTicker(p.killEvery), time.NewTicker(p.nextEvery), time.NewTicker(min(5*time.Second, p.killEvery/4))
	defer kill.Stop()
	defer next.Stop()
	defer watch.Stop()
	over := time.After(p.duration)
	made := make(chan job)
	making := false
	begin := func() {
		making = true
		version := fmt.Sprintf("2.%d", len(jobs))
		go func() {
			j, err := c.make(ctx, product, version)
			if err != nil {
				fmt.Fprintf(progress, "no batch this time: %v\n", err)
			}
			made <- j
		}()
	}
	begin()
	for {
		select {
		case <-over:
			if making {
				if j := <-made; j.id != "" {
					jobs = append(jobs, j)
				}
			}
			return jobs, nil
		case <-ctx.Done():
			return jobs, ctx.Err()
		case <-watch.C:
			c.watch()
		case <-kill.C:
			c.kill()
			if err := c.start(); err != nil {
				return jobs, err
			}
			fmt.Fprintf(progress, "%v: killed %d times, %d batches\n", time.Since(began).Round(time.Second), c.kills, len(jobs))
		case j := <-made:
			if making = false; j.id != "" {
				jobs = append(jobs, j)
			}
		case <-next.C:
			if !making {
				begin()
			}
		}
	}
}

// make makes a package and a batch of it; without an id, and why, when the cloud was away.
func (c *cloud) make(ctx context.Context, product, version string) (job, error) {
	fw, err := c.firmware(ctx, product, version)
	if err != nil {
		return job{}, err
	}
	j := job{version: version, asked: time.Now()}
	j.id, err = c.batch(ctx, product, fw)
	return j, err
}

// calm waits until no task is left, and says how many are when it has waited long enough.
func (p plan) calm(ctx context.Context, c *cloud, jobs []job) (left int, err error) {
	for end := time.Now().Add(p.settle); ; time.Sleep(time.Second) {
		left = 0
		for _, j := range jobs {
			n, err := c.active(ctx, j.id)
			if err != nil {
				return 0, err
			}
			left += n
		}
		if left == 0 || time.Now().After(end) {
			return left, nil
		}
		c.watch()
	}
}

func fileSize(path string) int64 {
	st, err := os.Stat(path)
	if err != nil {
		return 0
	}
	return st.Size()
}

// peak is the most memory of a life; 0 when it was too short to be looked at.
func peak(life []int64) int64 {
	if len(life) == 0 {
		return 0
	}
	return slices.Max(life)
}
