// SPDX-License-Identifier: BSD-3-Clause

package main

import (
	"context"
	"errors"
	"net"
	"sync"
	"syscall"
	"time"

	"chive/internal/config"
	"chive/internal/node"
)

// proxies are the local ports of a testnet's clients. They are opened before the
// network starts, so that a port that is taken is known at once; programs that
// connect earlier wait.
type proxies struct {
	fronts []*node.Front // of each client
	names  []string      // one of each client
	moved  []bool        // it is not where it would be, which was taken
	stop   context.CancelFunc
	tasks  sync.WaitGroup
}

// listen opens a port for each client. Ports that nobody named move to free ones
// when they are taken. Spec: product CLI-8.
func (o *testnetOptions) listen(named bool) (*proxies, error) {
	p := &proxies{}
	for i := range o.clients {
		opts := node.SocksOptions{Addrs: []string{"127.0.0.1:0"}, Answers: answers}
		if i < len(o.socks) {
			opts.Addrs, opts.MoveToFree = o.socks[i:i+1], !named
		}
		front := node.FrontOptions{Socks: opts}
		if i == 0 && o.web != "off" {
			front.Web = o.web
			if o.web == "auto" {
				front.Web, front.WebUsual, front.WebMoves = config.DefaultWeb, true, true
			}
		}
		f, err := node.OpenFront(front)
		if err != nil {
			p.close()
			return nil, err
		}
		name := f.Names()[0]
		p.fronts = append(p.fronts, f)
		p.names = append(p.names, name)
		p.moved = append(p.moved, opts.MoveToFree && name != opts.Addrs[0])
	}
	return p, nil
}

// serve calls run for each client with its front, which run closes; close
// ends its context.
func (p *proxies) serve(run func(ctx context.Context, client int, f *node.Front)) {
	ctx, stop := context.WithCancel(context.Background())
	p.stop = stop
	for i, f := range p.fronts {
		p.tasks.Go(func() { run(ctx, i, f) })
	}
}

// close ends what serve began and closes the ports. It may be called again.
func (p *proxies) close() {
	if p.stop != nil {
		p.stop()
	}
	p.tasks.Wait()
	for _, f := range p.fronts {
		f.Close()
	}
}

// answerTime bounds the question whether a program accepts at a socket.
const answerTime = time.Second

// answers reports whether a program accepts connections at a unix socket. In doubt
// it does.
func answers(path string) bool {
	conn, err := net.DialTimeout("unix", path, answerTime)
	if err == nil {
		_ = conn.Close()
	}
	return !errors.Is(err, syscall.ECONNREFUSED)
}
