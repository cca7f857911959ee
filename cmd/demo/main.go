// Command demo is the main job, end to end, on real input: a cloud (otasim
// serve) and two devices (otad run) as processes of their own, on real sockets
// and files, and root file systems made with mke2fs.
//
// It shows a verification, a batch with the full image, a batch with a patch,
// and four failures as the cloud sees them. The network's faults are made by a
// proxy between the devices and the package server, the disk's by a limit of
// the kernel on the size of files; neither end knows. It ends with "demo: ok"
// and exit 0, or says what failed.
package main

import (
	"context"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"path/filepath"
	"syscall"
	"time"
)

// limit bounds the whole demo.
const limit = 10 * time.Minute

func main() {
	bin := flag.String("bin", "bin", "folder with otad, otasim and otapack")
	agents := flag.String("agents", "build/demo", "folder with one armv7 agent for each version of the images, VERSION/otad")
	keep := flag.Bool("keep", false, "keep the working folder and say where it is")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	ctx, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	if err := run(ctx, *bin, *agents, *keep); err != nil {
		fmt.Printf("demo: failed: %v\n", err)
		os.Exit(1)
	}
	fmt.Println("demo: ok")
}

func run(ctx context.Context, bin, agents string, keep bool) (err error) {
	dir, err := os.MkdirTemp("", "leapslot-demo-")
	if err != nil {
		return err
	}
	defer func() {
		if keep || err != nil {
			fmt.Printf("the logs and images are in %s\n", dir)
			return
		}
		os.RemoveAll(dir)
	}()
	bin, err = filepath.Abs(bin)
	if err != nil {
		return err
	}
	d := &demo{dir: dir, bin: bin, screen: newScreen()}
	defer d.stop()
	for _, chapter := range []func(context.Context) error{
		func(ctx context.Context) error { return d.makeImages(ctx, agents) },
		d.openCloud, d.startDevices, d.verification, d.fullImage, d.patch,
		d.cutDownload, d.flippedByte, d.writeError, d.unhealthy,
	} {
		if err := chapter(ctx); err != nil {
			return err
		}
	}
	return nil
}
