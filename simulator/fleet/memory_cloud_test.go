package fleet

import (
	"context"
	"fmt"
	"net"
	"os"
	"runtime"
	"testing"

	"github.com/leapslot/ota/simulator"
	"github.com/leapslot/ota/simulator/server"
	"github.com/leapslot/ota/simulator/server/store"
)

// memoryCloudEnv makes this program a cloud whose store is in memory; it is the directory
// for packages and keys.
const memoryCloudEnv = "FLEET_MEMORY_CLOUD"

// TestHelperMemoryCloud is no test: it is that cloud, in a process of its own, until it is
// killed. It prints what otasim serve prints.
func TestHelperMemoryCloud(t *testing.T) {
	dir := os.Getenv(memoryCloudEnv)
	if dir == "" {
		t.Skip("only run by BenchmarkCycle, as a process of its own")
	}
	floor := make([]byte, 64<<20) // as otasim serve has
	defer runtime.KeepAlive(floor)
	devices, web := listen(t), listen(t)
	s, err := server.New(t.Context(), server.Config{Dir: dir, PublicURL: "http://" + web.Addr().String(), AccessKey: testKey,
		MaxPushRate: simulator.Unlimited, Store: store.NewMemory()})
	if err != nil {
		t.Fatal(err)
	}
	fmt.Printf("mqtt %s\nhttp %s\nready\n", devices.Addr(), web.Addr())
	if err := s.Run(context.Background(), []net.Listener{devices}, []net.Listener{web}); err != nil {
		t.Fatal(err)
	}
}

// TestMemoryStore is a fleet on a cloud whose store is in memory: its model says what the
// fleet says, and its database has heard of nothing.
func TestMemoryStore(t *testing.T) {
	t.Parallel()
	w := newWorldOf(t, server.Config{Store: store.NewMemory()}, nil)
	members := w.register(w.product, 10)
	job := w.batch(w.product, w.firmware(w.product, "2.0.0", 10_000))
	w.run(w.fleet(members, nil, Behaviour{}))
	if got := w.do(simulator.FindJob{Job: job}).(simulator.Job).Counts; got != (simulator.Counts{Succeeded: 10}) {
		t.Errorf("the cloud has %+v", got)
	}
	if stored := w.tasks(job); len(stored) != 0 {
		t.Errorf("the database has %v", stored)
	}
}
