// SPDX-License-Identifier: BSD-3-Clause

package measure

import (
	"io"
	"net"
	"os"
	"testing"
)

func TestOwnProcessIsMeasured(t *testing.T) {
	if _, err := CPU(os.Getpid()); err != nil {
		t.Errorf("processor time: %v", err)
	}
	m, err := MemoryOf(os.Getpid())
	if err != nil || m.Resident == 0 || m.Peak < m.Resident {
		t.Errorf("memory: %+v, %v", m, err)
	}
	if _, err := Load(); err != nil {
		t.Errorf("load: %v", err)
	}
	if Kernel() == "" {
		t.Error("no kernel")
	}
	if _, err := CPU(-1); err == nil {
		t.Error("a process that is not there was measured")
	}
}

func TestOwnConnectionIsCounted(t *testing.T) {
	ln, err := net.Listen("tcp4", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer ln.Close()
	out, err := net.Dial("tcp4", ln.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer out.Close()
	in, err := ln.Accept()
	if err != nil {
		t.Fatal(err)
	}
	defer in.Close()
	if _, err := out.Write(make([]byte, 1000)); err != nil {
		t.Fatal(err)
	}
	if _, err := io.ReadFull(in, make([]byte, 1000)); err != nil {
		t.Fatal(err)
	}
	sockets, err := Sockets(os.Getpid())
	if err != nil {
		t.Skipf("SKIPPED: this system does not show the counters of connections: %v", err)
	}
	for _, s := range sockets {
		if s.Local.String() == in.LocalAddr().String() && s.Remote.String() == in.RemoteAddr().String() {
			if s.Received < 1000 || s.Received > 1001 {
				t.Errorf("1000 bytes were counted as %d", s.Received)
			}
			return
		}
	}
	t.Errorf("the connection is not among %d", len(sockets))
}
