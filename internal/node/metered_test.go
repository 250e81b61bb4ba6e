// SPDX-License-Identifier: BSD-3-Clause

package node

import (
	"errors"
	"io"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"testing"
	"time"

	"chive/internal/limit"
	"chive/relay/exit"
)

// TestTheExitsSocketsCountAndEndWithTheQuota: the judge is kept, what goes to a
// destination counts, and not a byte more than the quota passes.
func TestTheExitsSocketsCountAndEndWithTheQuota(t *testing.T) {
	const most = 1 << 20
	state, err := OpenState(filepath.Join(t.TempDir(), "state"))
	if err != nil {
		t.Fatal(err)
	}
	defer state.Close()
	a, _, err := state.openAllowance(RelayLimits{Quota: limit.Accounting{Max: most}, Period: "month"}, 0, time.Now())
	if err != nil {
		t.Fatal(err)
	}
	if err := os.MkdirAll(filepath.Dir(a.path), 0o700); err != nil {
		t.Fatal(err)
	}
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer ln.Close()
	go func() {
		if c, err := ln.Accept(); err == nil {
			_, _ = io.Copy(io.Discard, c)
			_ = c.Close()
		}
	}()
	to := ln.Addr().(*net.TCPAddr).AddrPort()
	judged := a.network().(exit.Judged)
	if _, err := judged.WithJudge(func(netip.AddrPort) bool { return false }).DialTCP(t.Context(), to); err == nil {
		t.Fatal("the judge is not asked")
	}
	c, err := judged.WithJudge(func(netip.AddrPort) bool { return true }).DialTCP(t.Context(), to)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	n, err := c.Write(make([]byte, 3*most))
	if !errors.Is(err, limit.ErrSpent) || n != most {
		t.Errorf("%d bytes passed of %d, %v", n, most, err)
	}
	now := time.Now()
	if err := a.count(now, true); err != nil {
		t.Fatal(err)
	}
	if q := a.part(now); q.Used != most || q.Text == "" {
		t.Errorf("%+v", q)
	}
	a.set(RelayLimits{Quota: limit.Accounting{Max: 4 * most}, Period: "month"}, now)
	if usedUp, _ := a.used(now); usedUp {
		t.Error("a larger quota does not count at once")
	}
	if _, err := c.Write(make([]byte, most)); err != nil {
		t.Errorf("%v after the quota was raised", err)
	}
}
