// SPDX-License-Identifier: BSD-3-Clause

package layering

import (
	"go/ast"
	"maps"
	"slices"
	"strings"
)

// A right is what a package may ask of the real network.
type right uint8

const (
	dials    right = 1 << iota // connect to an address
	resolves                   // turn names into addresses or back
	listens                    // accept connections or datagrams
)

func (r right) String() string {
	switch r {
	case dials:
		return "dial"
	case resolves:
		return "resolve"
	case listens:
		return "listen"
	}
	return "network"
}

// A networkRow grants rights to a package and those below it.
type networkRow struct {
	path   string
	rights right
	why    string
}

// networkRows is the whole list of who may reach the network. The client is not
// in it: a leak of a name or an address has nowhere to be written.
var networkRows = []networkRow{
	{"link", dials | listens, "TCP to neighbours by address, the first Transport"},
	{"relay/exit", dials | resolves | listens, "connections, look-ups and datagrams on behalf of clients, behind the policy"},
	{"internal/nat", dials | resolves | listens, "the home router"},
	{"internal/control", dials | listens, "our own control socket, both ends"},
	{"internal/node", listens, "opens the listeners that roles are given"},
	{"internal/namespace", listens, "the sockets inside the namespace of chive run"},
	{"internal/upstream", dials | resolves, "the one proxy that the user named, by its own name too; relays are named to it by address"},
	{"internal/front", dials, "the running client's own port on this machine, for what is inside chive run"},
	{"testnet", dials | resolves | listens, "targets and load of a network on loopback"},
	{"cmd/chive", dials | listens, "clients of our own sockets"},
	{"bench", dials | listens, "target, load and control of two networks on loopback"},
}

// networkNames lists what reaches the network in the standard library, and the
// right that it takes. Types such as net.Conn and net.Listener need none.
var networkNames = map[string]right{
	"net.Dial": dials, "net.DialTimeout": dials, "net.DialTCP": dials, "net.DialUDP": dials,
	"net.DialIP": dials, "net.DialUnix": dials, "net.Dialer": dials,
	"net.Listen": listens, "net.ListenPacket": listens, "net.ListenTCP": listens, "net.ListenUDP": listens,
	"net.ListenIP": listens, "net.ListenUnix": listens, "net.ListenUnixgram": listens,
	"net.ListenMulticastUDP": listens, "net.ListenConfig": listens,
	"net.FileConn": listens, "net.FileListener": listens, "net.FilePacketConn": listens,
	"net.Resolver": resolves, "net.DefaultResolver": resolves,
	"net.ResolveTCPAddr": resolves, "net.ResolveUDPAddr": resolves, "net.ResolveIPAddr": resolves,
	"crypto/tls.Dial": dials, "crypto/tls.DialWithDialer": dials, "crypto/tls.Dialer": dials, "crypto/tls.Listen": listens,
	"net/http.Get": dials, "net/http.Head": dials, "net/http.Post": dials, "net/http.PostForm": dials,
	"net/http.DefaultClient": dials, "net/http.DefaultTransport": dials,
	"net/http.ListenAndServe": listens, "net/http.ListenAndServeTLS": listens,
	"net/textproto.Dial": dials,
	"syscall.Connect":    dials, "syscall.Socket": dials, "syscall.Bind": listens,
	"golang.org/x/sys/unix.Connect": dials, "golang.org/x/sys/unix.Socket": dials, "golang.org/x/sys/unix.Bind": listens,
	"golang.org/x/sys/windows.Connect": dials, "golang.org/x/sys/windows.Socket": dials, "golang.org/x/sys/windows.Bind": listens,
}

// networkImports are packages that only exist to reach the network.
var networkImports = map[string]right{
	"net/rpc": dials, "net/rpc/jsonrpc": dials, "net/smtp": dials, "golang.org/x/net/proxy": dials,
}

// httpFields are the HTTP types that dial by themselves unless a field says how.
var httpFields = map[string][]string{
	"Transport": {"DialContext", "DialTLSContext"},
	"Client":    {"Transport"},
}

// checkNetwork finds packages that dial, resolve or listen without the right to
// (rule 3). Test files are free: they stay on loopback by other rules.
func checkNetwork(t *tree, rows []networkRow) []string {
	var found []string
	for _, f := range t.files {
		if f.test {
			continue
		}
		may := rightsOf(f.pkg, rows)
		for _, spec := range f.ast.Imports {
			p := importPath(spec)
			if need := networkImports[p]; need&^may != 0 {
				found = append(found, t.at(spec.Pos(), "%s may not %s: imports %s", f.pkg, need, p))
			}
			if (p == "net" || p == "net/http" || p == "crypto/tls") && f.dotImports(p) {
				found = append(found, t.at(spec.Pos(), "%s imported with a dot: its calls could not be seen", p))
			}
		}
		for _, u := range f.uses() {
			need := networkNames[u.path+"."+u.name]
			if u.path == "net" && strings.HasPrefix(u.name, "Lookup") {
				need = resolves
			}
			if need&^may != 0 {
				found = append(found, t.at(u.pos, "%s may not %s: %s.%s", f.pkg, need, u.path, u.name))
			}
		}
		if may&dials == 0 {
			found = append(found, defaultDialers(t, f)...)
		}
	}
	return found
}

// rightsOf adds up what the rows grant to a package.
func rightsOf(pkg string, rows []networkRow) right {
	var may right
	for _, row := range rows {
		if pkg == row.path || strings.HasPrefix(pkg, row.path+"/") {
			may |= row.rights
		}
	}
	return may
}

// defaultDialers finds http.Transport and http.Client values that would dial
// with the system's dialler, because no field gives them another.
func defaultDialers(t *tree, f *goFile) []string {
	var found []string
	for _, name := range slices.Sorted(maps.Keys(httpFields)) {
		fields := httpFields[name]
		for _, lit := range f.literals("net/http", name) {
			if !setsOne(lit, fields) {
				found = append(found, t.at(lit.Pos(), "%s may not dial: http.%s without %s uses the system's dialler",
					f.pkg, name, strings.Join(fields, " or ")))
			}
		}
	}
	return found
}

// setsOne reports whether the literal sets at least one of the fields.
func setsOne(lit *ast.CompositeLit, fields []string) bool {
	for _, element := range lit.Elts {
		pair, ok := element.(*ast.KeyValueExpr)
		if !ok {
			continue
		}
		for _, field := range fields {
			if id, ok := pair.Key.(*ast.Ident); ok && id.Name == field {
				return true
			}
		}
	}
	return false
}
