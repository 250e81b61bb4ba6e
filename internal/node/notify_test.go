// SPDX-License-Identifier: BSD-3-Clause

package node

import (
	"context"
	"net"
	"os"
	"path/filepath"
	"runtime"
	"strconv"
	"testing"
)

// TestSystemdIsToldHowTheDaemonStands over a real socket.
func TestSystemdIsToldHowTheDaemonStands(t *testing.T) {
	if runtime.GOOS == "windows" {
		t.Skip("no such sockets here")
	}
	path := filepath.Join(t.TempDir(), "s")
	c, err := net.ListenUnixgram("unixgram", &net.UnixAddr{Name: path, Net: "unixgram"})
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	t.Setenv("NOTIFY_SOCKET", path)
	t.Setenv("WATCHDOG_USEC", "20000")
	t.Setenv("WATCHDOG_PID", strconv.Itoa(os.Getpid()))
	heard := func(want string) {
		t.Helper()
		b := make([]byte, 1000)
		n, err := c.Read(b)
		if err != nil || string(b[:n]) != want {
			t.Errorf("heard %q, %v, want %q", b[:n], err, want)
		}
	}
	var n Notifier
	n.Starting(25, "asks for the list\nREADY=1")
	heard("STATUS=25 %: asks for the list READY=1\nEXTEND_TIMEOUT_USEC=120000000")
	n.Ready("7 relays")
	heard("READY=1\nSTATUS=7 relays")
	n.Status("8 relays")
	heard("STATUS=8 relays")
	ctx, stop := context.WithCancel(t.Context())
	ended := make(chan struct{})
	beats := 0
	go func() {
		defer close(ended)
		n.Watch(ctx, func() bool {
			beats++
			return beats != 2
		})
	}()
	heard("WATCHDOG=1")
	heard("WATCHDOG=1")
	stop()
	<-ended
	if beats < 3 {
		t.Error("a stuck daemon is fed")
	}
}

// TestOutsideSystemdNothingIsTold.
func TestOutsideSystemdNothingIsTold(t *testing.T) {
	t.Setenv("NOTIFY_SOCKET", "")
	t.Setenv("WATCHDOG_USEC", "")
	var n Notifier
	n.Ready("x")
	n.Stopping()
	n.Watch(t.Context(), func() bool { t.Error("asked"); return true })
}
