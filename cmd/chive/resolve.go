// SPDX-License-Identifier: BSD-3-Clause

package main

import (
	"context"
	"fmt"
	"io"
	"net/netip"
	"time"

	"github.com/spf13/cobra"

	"chive/internal/socks"
)

const resolveHelp = `Looks a name up at an exit, through the proxy of the client that runs here, and prints its
address, IPv4 where there is one. Of an address it prints the name. Nothing is asked of
this machine's own name servers.

Exits with 3 when the name does not exist or nobody answers.`

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
			conn, p, err := a.throughProxy(c.Context(), o.socks)
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
					return a.socksFault(p, err)
				}
			} else {
				found, err := socks.Resolve(ctx, conn, cred, args[0])
				if err != nil {
					return a.socksFault(p, err)
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
