// SPDX-License-Identifier: BSD-3-Clause

package main

import (
	"context"
	"errors"
	"io"
	"net"
	"os"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"chive/internal/node"
	"chive/internal/socks"
)

// requestTime bounds a request to the proxy, which itself waits for a client that is
// still starting.
const requestTime = 3 * time.Minute

const ncHelp = `Connects standard input and output to a host, through the proxy of the client that runs
here. The name is looked up at the far end. The end of the input is passed on, and what
comes back is printed until the far side ends it.

With ssh, and with git over ssh:

  ssh -o ProxyCommand='chive nc %h %p' user@example.com

Connections with different --isolation texts never share a circuit. Exits with 3 when
nobody answers, here or there, or the client or the exits refuse.`

// throughFlags are what the commands have that go through the proxy.
type throughFlags struct{ isolation, socks string }

func (o *throughFlags) add(c *cobra.Command) {
	c.Flags().StringVar(&o.isolation, "isolation", "", "share circuits only with requests of the same `TEXT`")
	c.Flags().StringVar(&o.socks, "socks", "", "the proxy is at `ADDR`; unless given, the running client is asked")
}

// credentials are what the proxy is told.
func (o *throughFlags) credentials() (socks.Credentials, error) {
	bad := func(text, fix string) (socks.Credentials, error) {
		return socks.Credentials{}, &node.Fault{Kind: node.Usage, Code: "isolation", Text: text, Fix: fix}
	}
	switch {
	case len(o.isolation) > socks.MaxText:
		return bad("--isolation is longer than 255 bytes", "Use a shorter text.")
	case strings.HasPrefix(o.isolation, "chive:"):
		return bad("Texts for --isolation that begin with chive: are reserved", "Use another text.")
	}
	return socks.Credentials{User: o.isolation}, nil
}

func (a *app) ncCommand() *cobra.Command {
	var o throughFlags
	c := &cobra.Command{
		Use: "nc HOST PORT", Short: "connect standard input and output to a host", Long: ncHelp, Args: exactly("HOST", "PORT"),
		Example: "  ssh -o ProxyCommand='chive nc %h %p' user@example.com\n" +
			"  printf 'GET / HTTP/1.0\\r\\n\\r\\n' | chive nc example.com 80",
		RunE: func(c *cobra.Command, args []string) error {
			port, err := strconv.ParseUint(args[1], 10, 16)
			if err != nil || port == 0 {
				return usage(c, "PORT takes 1 to 65535, not "+args[1])
			}
			host := strings.TrimSuffix(strings.TrimPrefix(args[0], "["), "]")
			if host == "" || len(host) > socks.MaxText {
				return usage(c, "HOST takes a name of 1 to 255 bytes, or an address")
			}
			cred, err := o.credentials()
			if err != nil {
				return err
			}
			conn, p, err := a.throughProxy(c, o.socks)
			if err != nil {
				return err
			}
			defer conn.Close()
			ctx, cancel := context.WithTimeout(c.Context(), requestTime)
			defer cancel()
			began := time.Now()
			if err := socks.Connect(ctx, conn, cred, host, uint16(port), nil); err != nil {
				return a.connectFault(c.Context(), p, host, args[1], began, err)
			}
			return carry(os.Stdin, a.out, conn)
		},
	}
	o.add(c)
	return c
}

// carry joins a stream to an input and an output until the stream ends.
func carry(in io.Reader, out io.Writer, conn net.Conn) error {
	broken := &node.Fault{Kind: node.Failed, Code: "connection_broke", Text: "The connection broke before its end", Fix: "Try again."}
	go func() {
		_, _ = io.Copy(conn, in)
		if c, ok := conn.(interface{ CloseWrite() error }); ok {
			_ = c.CloseWrite()
		}
	}()
	if _, err := io.Copy(out, conn); err != nil {
		if errors.Is(err, os.ErrClosed) || errors.Is(err, io.ErrClosedPipe) {
			return nil
		}
		var op *net.OpError
		if !errors.As(err, &op) { // the output is gone: nobody wants more
			return nil
		}
		return broken
	}
	return nil
}

// throughProxy connects to the proxy.
func (a *app) throughProxy(c *cobra.Command, flag string) (net.Conn, proxyPlace, error) {
	p, err := a.findProxy(c, flag)
	if err != nil {
		return nil, p, err
	}
	conn, err := p.dial(c.Context())
	if err != nil {
		return nil, p, p.noProxy()
	}
	return conn, p, nil
}

// dial connects to the proxy.
func (p proxyPlace) dial(ctx context.Context) (net.Conn, error) {
	return new(net.Dialer).DialContext(ctx, p.network, p.address)
}

// noProxy is the fault of a port where nobody accepts.
func (p proxyPlace) noProxy() *node.Fault {
	return &node.Fault{
		Kind: node.Unreachable, Code: "no_proxy", Text: "No chive client has its proxy at " + p.name,
		Fix: "Start one: chive client --genesis FILE. If one runs, name its proxy as its ready line does: --socks ADDR; or its state folder: --state DIR",
	}
}

// socksFault says why the proxy did not do what it was asked. Spec: product §4.6, CLI-6.
func (a *app) socksFault(ctx context.Context, p proxyPlace, err error) *node.Fault {
	var refused *socks.Refused
	switch {
	case errors.As(err, &refused):
		f := &node.Fault{Kind: node.Failed, Code: refused.Reason(), Text: refused.Text(), Fix: refused.Fix()}
		if advice, asks := strings.CutSuffix(f.Fix, "chive status"); asks { // nobody is asked for advice that names nobody
			f.Fix = advice + a.askOwner(ctx, p)
		}
		switch refused.Code {
		case codeNotAllowed, 3, codeHost, 5, 6, 0xF0, 0xF7: // somebody refuses or does not answer, here or there
			f.Kind = node.Unreachable
		}
		return f
	case errors.Is(err, socks.ErrRequest):
		return &node.Fault{Kind: node.Usage, Code: "name_size", Text: "The proxy takes no name of this size", Fix: "Use a name of 1 to 255 bytes."}
	case errors.Is(err, socks.ErrProtocol):
		return &node.Fault{Kind: node.Failed, Code: "not_a_proxy", Text: "What is at " + p.name + " is not the proxy of a chive client", Fix: "Name the proxy as the client's ready line does: --socks ADDR"}
	}
	return &node.Fault{Kind: node.Unreachable, Code: "proxy_broke", Text: "The proxy at " + p.name + " hung up or did not answer", Fix: "Look whether the client still runs: " + a.askOwner(ctx, p)}
}
