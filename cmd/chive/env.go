// SPDX-License-Identifier: BSD-3-Clause

package main

import (
	"fmt"
	"io"
	"runtime"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"chive/internal/node"
)

const envHelp = `Prints the variables that make programs use the proxy of the client that runs here. Most
programs that fetch things read them; those that do not, and those that look names up by
themselves, go around: chive run stops these.

  eval "$(chive env)"               sh, bash, zsh
  chive env --shell fish | source   fish
  chive env | iex                   PowerShell

The proxy's address is the running client's, which is asked. Where that does not answer
this fails with 3 and prints nothing: another program may have its port. --socks names a
proxy that nobody is to be asked about. Firefox, ssh and git over ssh read no
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
			p, err := a.findProxy(c, socks)
			if err != nil && unset && socks == "" { // what takes away is the same for every client
				p, err = at(node.DefaultSocks), nil
			}
			if err != nil {
				return err
			}
			if p.network != "tcp" {
				return &node.Fault{
					Kind: node.Usage, Code: "env_unix", Text: "The proxy is at a unix socket, and variables name hosts and ports only",
					Fix: "Give the client a port too: --socks " + node.DefaultSocks + "," + p.name,
				}
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
