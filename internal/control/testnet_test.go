// SPDX-License-Identifier: BSD-3-Clause

package control

import (
	"context"
	"errors"
	"net"
	"path/filepath"
	"testing"
)

// lab is a testnet of processes, or of none.
type lab struct {
	added, exits int
	started      string
}

func (*lab) Status() *Status { return &Status{} }

func (l *lab) Testnet(context.Context) *Testnet {
	out := &Testnet{Driver: "proc"}
	for range l.added {
		out.Nodes = append(out.Nodes, TestnetNode{Name: "relay"})
	}
	return out
}

func (l *lab) Add(_ context.Context, relays, exits int) error {
	l.added, l.exits = relays, exits
	return nil
}

func (l *lab) Start(_ context.Context, name string) error {
	l.started = name
	return &Failure{Code: "no_node", Text: "There is none", Fix: "Look."}
}

// shown is one that is looked at only.
type shown struct{ Source }

func (shown) Testnet(context.Context) *Testnet { return &Testnet{Driver: "local"} }

func TestATestnetIsShownAndGrows(t *testing.T) {
	at := func(s Source) string {
		path := filepath.Join(t.TempDir(), "s")
		l, err := net.Listen("unix", path)
		if err != nil {
			t.Fatal(err)
		}
		ctx, stop := context.WithCancel(context.Background())
		done := make(chan error, 1)
		go func() { done <- Serve(ctx, l, s) }()
		t.Cleanup(func() {
			stop()
			<-done
		})
		return path
	}
	refused := func(err error, code string) {
		t.Helper()
		var f *Failure
		if !errors.As(err, &f) || f.Code != code {
			t.Errorf("got %v, want %s", err, code)
		}
	}
	ctx := t.Context()
	l := &lab{}
	grows, fixed, none := at(l), at(shown{l}), at(&plain{l})
	if got, _, err := FetchTestnet(ctx, grows); err != nil || got.Driver != "proc" || got.Nodes == nil || got.Schema != TestnetSchema {
		t.Errorf("%+v, %v", got, err)
	}
	if got, _, err := PostTestnetAdd(ctx, grows, 3, 1); err != nil || len(got.Nodes) != 3 || l.exits != 1 {
		t.Errorf("%+v, %v, %+v", got, err, l)
	}
	for _, c := range [][2]int{{0, 0}, {-1, 0}, {1, 2}, {1, -1}} {
		_, _, err := PostTestnetAdd(ctx, grows, c[0], c[1])
		refused(err, "relays")
	}
	_, _, err := PostTestnetStart(ctx, grows, "relay7")
	refused(err, "no_node")
	if l.added != 3 || l.started != "relay7" {
		t.Errorf("%+v", l)
	}
	if got, _, err := FetchTestnet(ctx, fixed); err != nil || got.Driver != "local" {
		t.Errorf("%+v, %v", got, err)
	}
	_, _, err = PostTestnetAdd(ctx, fixed, 1, 0)
	refused(err, "not_here")
	_, _, err = FetchTestnet(ctx, none)
	refused(err, "not_here")
}

// plain is no testnet.
type plain struct{ Source }
