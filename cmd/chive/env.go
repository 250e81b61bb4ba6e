// SPDX-License-Identifier: BSD-3-Clause

package main

import (
	"context"
	"fmt"
	"io"
	"runtime"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"chive/internal/control"
	"chive/internal/node"
)

const envHelp = `Prints the variables that make programs use the proxy of the client that runs here. Most
programs that fetch things read them; those that do not, and those that look names up by
themselves, go around: chive run stops these.

  eval "$(chive env)"               sh, bash, zsh
  chive env --shell fish | source   fish
  chive env | iex                   PowerShell

The proxy's address is the running client's, which is asked; where none answers it is the
usual one, and a note on standard error says so. Firefox, ssh and git over ssh read no
such variables: see chive nc.`

// envShells are what --shell takes.
var envShells = []string{"sh", "fish", "powershell", "json"}

type envObject struct {
	Schema    string            `json:"schema"`
	Socks     string            `json:"socks"`
	Running   bool              `json:"running"` // a client was asked for the address
	Variables map[string]string `json:"variables"`
	Unset     []string          `json:"unset,omitempty"`
}

func (a *app) envCommand() *cobra.Command {
	var shell, socks string
	var unset bool
	c := &cobra.Command{
		Use: "env", Short: "print the variables that make programs use the proxy", Long: envHelp, Args: exactly(),
		Example: "  eval \"$(chive env)\"\n  eval \"$(chive env --unset)\"\n  chive env --shell json",
		RunE: func(c *cobra.Command, _ []string) error {
			if !slices.Contains(envShells, shell) {
				return usage(c, "--shell takes "+strings.Join(envShells[:3], ", ")+" or json, not "+shell)
			}
			p, err := a.findProxy(c.Context(), socks)
			if err != nil {
				return err
			}
			if p.network != "tcp" {
				return &node.Fault{
					Kind: node.Usage, Code: "env_unix", Text: "The proxy is at a unix socket, and variables name hosts and ports only",
					Fix: "Give the client a port too: --socks " + node.DefaultSocks + "," + p.name,
				}
			}
			if p.note != "" && !unset {
				a.tell(p.note)
			}
			if a.global.json {
				shell = "json"
			}
			printEnv(a.out, shell, p, unset)
			return nil
		},
	}
	usual := "sh"
	if runtime.GOOS == "windows" {
		usual = "powershell"
	}
	c.Flags().StringVar(&shell, "shell", usual, "print for `SHELL`: sh, fish, powershell or json")
	c.Flags().StringVar(&socks, "socks", "", "the proxy is at `ADDR`; unless given, the running client is asked")
	c.Flags().BoolVar(&unset, "unset", false, "print what takes the variables away again")
	return c
}

// variable is one of the environment's.
type variable struct{ name, value string }

// proxyVariables are what programs read, in both cases: curl ignores HTTP_PROXY, Go and
// Python's urllib ignore ALL_PROXY. Spec: product CLI-10.
func proxyVariables(socks string) (out []variable) {
	for _, v := range []variable{
		{"ALL_PROXY", "socks5h://" + socks},
		{"HTTP_PROXY", "http://" + socks},
		{"HTTPS_PROXY", "http://" + socks},
		{"NO_PROXY", "localhost,127.0.0.1,::1"},
	} {
		out = append(out, v, variable{strings.ToLower(v.name), v.value})
	}
	return out
}

// printEnv prints the variables as a shell reads them. Their values need no more than
// single quotes.
func printEnv(w io.Writer, shell string, p proxyPlace, unset bool) {
	vars := proxyVariables(p.name)
	if shell == "json" {
		o := envObject{Schema: "chive.env/1", Socks: p.name, Running: p.asked, Variables: map[string]string{}}
		for _, v := range vars {
			if unset {
				o.Unset = append(o.Unset, v.name)
			} else {
				o.Variables[v.name] = v.value
			}
		}
		printObject(w, o)
		return
	}
	set, take := "export %s='%s'\n", "unset %s\n"
	switch shell {
	case "fish":
		set, take = "set -gx %s '%s'\n", "set -e %s\n"
	case "powershell":
		set, take = "$Env:%s = '%s'\n", "Remove-Item Env:%s -ErrorAction SilentlyContinue\n"
	}
	for _, v := range vars {
		if unset {
			fmt.Fprintf(w, take, v.name)
		} else {
			fmt.Fprintf(w, set, v.name, v.value)
		}
	}
}

// proxyPlace is where the proxy is.
type proxyPlace struct {
	network string // tcp or unix
	address string // as net.Dial takes it
	name    string // host:port or unix:/path
	asked   bool   // a running client said so
	note    string // why nobody was asked
}

// at is the place that a name means.
func at(name string) proxyPlace {
	if path, ok := strings.CutPrefix(name, "unix:"); ok {
		return proxyPlace{network: "unix", address: path, name: name}
	}
	return proxyPlace{network: "tcp", address: name, name: name}
}

// findProxy says where the proxy is: where the flag says, else where the running client
// says, else at the usual port with a note.
func (a *app) findProxy(ctx context.Context, flag string) (proxyPlace, error) {
	if flag != "" {
		if err := (node.SocksOptions{Addrs: []string{flag}}).Check(); err != nil {
			return proxyPlace{}, err
		}
		return at(flag), nil
	}
	usual := at(node.DefaultSocks)
	socket, err := a.controlSocket()
	if err == nil {
		err = socket.Check()
	}
	if err != nil {
		if socket.Fixed || a.global.control != "" {
			return proxyPlace{}, err
		}
		usual.note = "No running client could be asked where its proxy is: this is the usual address."
		return usual, nil
	}
	ctx, cancel := context.WithTimeout(ctx, statusTime)
	defer cancel()
	s, _, err := control.Fetch(ctx, socket.Path)
	switch {
	case err != nil && a.global.control != "":
		return proxyPlace{}, a.statusFault(socket, err)
	case err != nil:
		usual.note = "No client answers at " + socket.Name() + ": this is the usual address."
		return usual, nil
	case s.Client == nil:
		usual.note = "What answers at " + socket.Name() + " is no client: this is the usual address."
		return usual, nil
	}
	places := listenersOf(s, "socks")
	if len(places) == 0 {
		usual.asked = true
		return usual, nil
	}
	chosen := places[0]
	for _, name := range places { // programs know ports better than paths
		if !strings.HasPrefix(name, "unix:") {
			chosen = name
			break
		}
	}
	p := at(chosen)
	p.asked = true
	return p, nil
}

// listenersOf are the places of that kind where a daemon serves programs.
func listenersOf(s *control.Status, kind string) (out []string) {
	for _, l := range s.Listeners {
		if l.Kind == kind {
			out = append(out, l.Address)
		}
	}
	return out
}
