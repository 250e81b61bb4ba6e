// SPDX-License-Identifier: BSD-3-Clause

package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"chive/internal/control"
	"chive/internal/node"
	"chive/internal/socks"
)

const resolveHelp = `Looks a name up at an exit, through the proxy of the client that runs here, and prints its
address, IPv4 where there is one. Of an address it prints the name. Nothing is asked of
this machine's own name servers.

Exits with 3 when the name does not exist, nobody answers, or the client refuses.`

type resolveObject struct {
	Schema  string   `json:"schema"`
	Query   string   `json:"query"`
	Answers []string `json:"answers"`
	Seconds float64  `json:"took_seconds"`
}

func (a *app) resolveCommand() *cobra.Command {
	var o throughFlags
	c := &cobra.Command{
		Use: "resolve NAME|ADDRESS", Short: "look a name or an address up at an exit", Long: resolveHelp, Args: exactly("NAME|ADDRESS"),
		Example: "  chive resolve example.com\n  chive resolve 192.0.2.1",
		RunE: func(c *cobra.Command, args []string) error {
			if args[0] == "" || len(args[0]) > socks.MaxText {
				return usage(c, "NAME takes 1 to 255 bytes")
			}
			cred, err := o.credentials()
			if err != nil {
				return err
			}
			began := time.Now()
			conn, p, err := a.throughProxy(c, o.socks)
			if err != nil {
				return err
			}
			defer conn.Close()
			ctx, cancel := context.WithTimeout(c.Context(), requestTime)
			defer cancel()
			var answer string
			if addr, err := netip.ParseAddr(args[0]); err == nil {
				answer, err = socks.ResolveAddr(ctx, conn, cred, addr)
				if err != nil {
					return a.lookupFault(c.Context(), p, args[0], began, err)
				}
			} else {
				found, err := socks.Resolve(ctx, conn, cred, args[0])
				if err != nil {
					return a.lookupFault(c.Context(), p, args[0], began, err)
				}
				answer = found.String()
			}
			a.answer(resolveObject{"chive.resolve/1", args[0], []string{answer}, seconds(time.Since(began))}, func(w io.Writer) {
				fmt.Fprintln(w, answer)
			})
			return nil
		},
	}
	o.add(c)
	return c
}

// lookupFault says why a look-up failed. One code of SOCKS5 stands for several reasons: what
// the daemon tells of this look-up says which, where it can be asked.
// Spec: product §4.6, CLI-6.
func (a *app) lookupFault(ctx context.Context, p proxyPlace, query string, began time.Time, err error) *node.Fault {
	f := a.socksFault(ctx, p, err)
	var refused *socks.Refused
	if !errors.As(err, &refused) {
		return f
	}
	if name := strings.ToLower(strings.TrimSuffix(query, ".")); name == "onion" || strings.HasSuffix(name, ".onion") {
		f.Kind, f.Code, f.Text, f.Fix = node.Unreachable, "name_not_found", "Names under .onion belong to another network, Tor's, and are never forwarded: no exit was asked", "Use Tor for them."
		return f
	}
	if underLocalhost(query) {
		return thisMachine(f)
	}
	told, asked := a.told(ctx, p, "resolve", lookedUp(query), began)
	switch {
	case told != nil && told.Reason == "exit_policy": // a look-up has no port
		f.Code, f.Text, f.Fix = told.Reason, "No exit that could be reached looks names up", "Try again later, when an exit may be running."
	case told != nil:
		f.Code, f.Text, f.Fix = told.Reason, upperFirst(strings.TrimSuffix(told.Text, ".")), sentence(upperFirst(told.Fix))
	case refused.Code == codeNotAllowed:
		f.Code, f.Text, f.Fix = "private_address", "The address is private or local, or stands for no name here: no exit is asked", "Look names of private addresses up without chive. An address from 198.18.0.0/15 stands for a name only where it was given."
	case refused.Code == codeHost && asked: // the proxy itself says so, and asked nobody
		f.Code, f.Text, f.Fix = "name_not_found", "No exit is asked for such a name: it has a meaning on one machine, in one network or in another overlay only, or is no name", "Check the spelling, and use the full name of a public host."
	}
	return f
}

// lookedUp are the targets that the story of a look-up may have.
func lookedUp(query string) []string {
	if addr, err := netip.ParseAddr(query); err == nil {
		return []string{addr.Unmap().String()}
	}
	return []string{strings.TrimSuffix(query, ".")}
}

// SOCKS5 codes of a refusal that stand for several reasons.
const (
	codeNotAllowed = 2
	codeHost       = 4
)

// underLocalhost reports whether a name means this machine.
func underLocalhost(name string) bool {
	name = strings.ToLower(strings.TrimSuffix(name, "."))
	return name == "localhost" || strings.HasSuffix(name, ".localhost")
}

// thisMachine says of a fault that its name never leaves this machine.
func thisMachine(f *node.Fault) *node.Fault {
	f.Kind, f.Code = node.Unreachable, "private_address"
	f.Text, f.Fix = "localhost and names under it stay on this machine: they are not reached through chive", "Reach them without the proxy. In a testnet write 127.0.0.1."
	return f
}

// connectFault says why a connection failed, as lookupFault does of a look-up.
// Spec: product §4.6, CLI-6.
func (a *app) connectFault(ctx context.Context, p proxyPlace, host, port string, began time.Time, err error) *node.Fault {
	f := a.socksFault(ctx, p, err)
	var refused *socks.Refused
	if !errors.As(err, &refused) {
		return f
	}
	if refused.Code == codeHost && underLocalhost(host) { // else it is the one that a testnet reaches
		return thisMachine(f)
	}
	targets := lookedUp(host)
	targets[0] = net.JoinHostPort(targets[0], port)
	if told, _ := a.told(ctx, p, "connect", targets, began); told != nil {
		f.Code, f.Text = told.Reason, upperFirst(strings.TrimSuffix(told.Text, "."))
		if told.Fix != "" {
			f.Fix = sentence(upperFirst(told.Fix))
		}
	}
	return f
}

// told is what the daemon whose proxy p is tells of a request of that kind to one of the
// targets since began; nil: nothing. asked says that it answered.
func (a *app) told(ctx context.Context, p proxyPlace, kind string, targets []string, began time.Time) (told *control.Stream, asked bool) {
	socket, known := a.ownerOf(ctx, p)
	if !known {
		return nil, false
	}
	ctx, cancel := context.WithTimeout(ctx, statusTime)
	defer cancel()
	all, _, err := control.FetchStreams(ctx, socket.Path)
	if err != nil {
		return nil, false
	}
	return storyAmong(all.Streams, kind, targets, began), true
}

// storyAmong finds the newest failed request of a kind to one of the targets since began.
func storyAmong(all []control.Stream, kind string, targets []string, began time.Time) *control.Stream {
	for i := range all { // the newest first
		s := &all[i]
		if s.Kind != kind || s.Reason == "" || s.Began.Before(began.Truncate(time.Second)) {
			continue
		}
		if slices.ContainsFunc(targets, func(t string) bool { return strings.EqualFold(t, s.Target) }) {
			return s
		}
	}
	return nil
}
