// SPDX-License-Identifier: BSD-3-Clause

package node

import (
	"io/fs"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"strings"

	"chive/client/proxy"
	"chive/internal/config"
	"chive/internal/redact"
	"chive/internal/store"
)

// unixPrefix begins the name of a unix socket.
const unixPrefix = "unix:"

// maxSocketPath is the longest path of a unix socket that every system takes.
const maxSocketPath = 100

// DefaultSocks is where programs find the proxy.
const DefaultSocks = "127.0.0.1:9250"

// Listener is an open listener and the name that it is shown by.
type Listener struct {
	net.Listener
	Name    string        // host:port or unix:/path, or the name in the configuration
	Options proxy.Options // without name, testnet and log
}

// SocksOptions say which listeners to open.
type SocksOptions struct {
	Addrs       []string          // host:port or unix:/path
	Named       []config.Listener // with options of their own
	AllowRemote bool              // take addresses that other machines reach
	// MoveToFree takes another port of the same host when the port is taken:
	// only for a testnet whose ports nobody has named (CLI-8).
	MoveToFree bool
	// Answers reports whether a program accepts connections at the unix socket of
	// that path. One where none does was left behind by a run that was killed, and
	// is replaced. Nil: none is replaced.
	Answers func(path string) bool
}

// ListenSocks opens the proxy's listeners: loopback or unix sockets only, unless
// remote ones are allowed. On a fault none stays open.
// Spec: product SOCKS-2.
func ListenSocks(o SocksOptions) (out []Listener, err error) {
	if err := o.Check(); err != nil {
		return nil, err
	}
	for _, w := range o.wanted() {
		l, err := w.open()
		if err != nil {
			closeAll(out)
			return nil, err
		}
		out = append(out, l)
	}
	return out, nil
}

// wanted is a listener that is to be.
type wanted struct {
	place   string // as it was written: IP:PORT, or unix: and a path
	label   string // its name in the configuration; empty: none
	options proxy.Options
	o       SocksOptions
}

// wanted returns the listeners in their order.
func (o SocksOptions) wanted() (out []wanted) {
	for _, addr := range o.Addrs {
		out = append(out, wanted{place: addr, o: o})
	}
	for _, n := range o.Named {
		w := wanted{place: string(n.Address), o: o, options: proxy.Options{
			IsolateDestination: n.IsolateDestination, IsolatePort: n.IsolatePort, ExtendedErrors: n.ExtendedErrors,
			PreferNoAuth: n.PreferNoAuth, RefuseIP: n.RefuseIP, NoAutomap: !n.Automap,
		}}
		w.o.AllowRemote = n.AllowRemote
		if !strings.HasPrefix(n.Name, unixPrefix) && n.Name != w.place {
			w.label = n.Name
		}
		out = append(out, w)
	}
	return out
}

// open opens it.
func (w wanted) open() (l Listener, err error) {
	if path, ok := strings.CutPrefix(w.place, unixPrefix); ok {
		l, err = listenUnix(w.flag(), path, w.o.Answers)
	} else {
		l, err = listenTCP(w.flag(), w.place, w.o)
	}
	if err != nil {
		return Listener{}, err
	}
	return w.of(l.Listener), nil
}

// flag is what says where it is.
func (w wanted) flag() string {
	if w.label == "" {
		return "--socks"
	}
	return namedFlag + w.label + ".address ="
}

// namedFlag begins what says where a listener with options is; it has no flag.
const namedFlag = "client.listener."

// of is the listener that is wanted, which is open.
func (w wanted) of(l net.Listener) Listener {
	name := l.Addr().String()
	if l.Addr().Network() == "unix" {
		name = unixPrefix + name
	}
	if w.label != "" {
		name = w.label + "=" + name
	}
	return Listener{Listener: l, Name: name, Options: w.options}
}

// Check refuses addresses that cannot be right, without opening or writing
// anything.
func (o SocksOptions) Check() error {
	if len(o.Addrs)+len(o.Named) == 0 {
		return fault(Usage, "socks_missing", "Leave --socks out for "+DefaultSocks+".", "--socks names no address")
	}
	for _, addr := range o.Addrs {
		var err error
		if path, ok := strings.CutPrefix(addr, unixPrefix); ok {
			err = checkSocket("--socks", path)
		} else {
			_, err = o.parse(addr)
		}
		if err != nil {
			return err
		}
	}
	for _, n := range o.Named {
		if path, ok := n.Address.Unix(); ok {
			if err := checkSocket("--socks", path); err != nil {
				return err
			}
		}
	}
	return nil
}

// parse reads an address and refuses one that other machines reach.
func (o SocksOptions) parse(text string) (netip.AddrPort, error) {
	addr, err := parseListen("--socks", text)
	if err == nil && !addr.Addr().IsLoopback() && !o.AllowRemote {
		err = fault(Usage, "socks_remote", "Use a loopback address such as "+DefaultSocks+", or unix:/PATH; an SSH tunnel brings other machines to it.",
			"--socks %s would let other machines use this proxy", text)
	}
	return addr, err
}

// checkSocket refuses a path where no socket of a program's can be made.
func checkSocket(flag, path string) error {
	if !filepath.IsAbs(path) || len(path) > maxSocketPath {
		return fault(Usage, "socks_path", "Write unix: and an absolute path of at most 100 characters.", "%s unix:%s is not the path of a socket", flag, path)
	}
	return checkSocketAt(flag, path)
}

// checkSocketAt refuses a path that something else than a socket has.
func checkSocketAt(flag, path string) error {
	info, err := os.Lstat(path)
	switch {
	case err == nil && info.Mode().Type() != fs.ModeSocket:
		return fault(Usage, pathCode(flag), "Choose another path: "+flag+" unix:/PATH.", "What is at %s is not a socket", path)
	case err == nil:
		return nil
	}
	if _, err := os.Stat(filepath.Dir(path)); err != nil {
		return listenFault(flag, unixPrefix+path, err)
	}
	return nil
}

// pathCode is the fault of a path that a flag names.
func pathCode(flag string) string {
	if strings.HasPrefix(flag, namedFlag) {
		return "socks_path"
	}
	return strings.TrimLeft(flag, "-") + "_path"
}

func closeAll(ls []Listener) {
	for _, l := range ls {
		_ = l.Close()
	}
}

func listenTCP(flag, text string, o SocksOptions) (Listener, error) {
	addr, err := o.parse(text)
	if err != nil {
		return Listener{}, err
	}
	l, err := net.Listen("tcp", addr.String())
	if o.MoveToFree && redact.Classify(err) == redact.AddressInUse {
		l, err = net.Listen("tcp", netip.AddrPortFrom(addr.Addr(), 0).String())
	}
	if err != nil {
		return Listener{}, listenFault(flag, text, err)
	}
	return Listener{Listener: l, Name: l.Addr().String()}, nil
}

// parseListen reads host:port, where the host is an IP address or localhost.
func parseListen(flag, text string) (netip.AddrPort, error) {
	if port, ok := strings.CutPrefix(text, "localhost:"); ok {
		text = "127.0.0.1:" + port
	}
	addr, err := netip.ParseAddrPort(text)
	if err != nil {
		return netip.AddrPort{}, fault(Usage, "listen_address", "Write an IP address and a port, such as "+usual(flag)+".", "%s %s is not an address", flag, text)
	}
	return addr, nil
}

// usual is the address that a flag has when it is not given.
func usual(flag string) string {
	if flag == "--listen" {
		return DefaultListen
	}
	return DefaultSocks
}

// listenUnix makes a socket at a path that was checked.
func listenUnix(flag, path string, answers func(path string) bool) (Listener, error) {
	l, err := bindUnix(path)
	if redact.Classify(err) == redact.AddressInUse && answers != nil && !answers(path) {
		_ = os.Remove(path) // if it stays, listening says so
		l, err = bindUnix(path)
	}
	if err == nil {
		err = os.Chmod(path, store.FileMode)
		if err != nil {
			_ = l.Close()
		}
	}
	if err != nil {
		return Listener{}, listenFault(flag, unixPrefix+path, err)
	}
	return Listener{Listener: l, Name: unixPrefix + path}, nil
}

// bindUnix makes a socket that is its owner's alone from the first moment on: a mode that
// is set afterwards comes too late for who is let in meanwhile.
func bindUnix(path string) (l net.Listener, err error) {
	forOwner(func() { l, err = net.Listen("unix", path) })
	return l, err
}

// listenFault says why a listener could not be opened.
func listenFault(flag, addr string, err error) *Fault {
	path, isPath := strings.CutPrefix(addr, unixPrefix)
	reason := redact.Classify(err)
	switch reason {
	case redact.AddressInUse:
		if isPath {
			return fault(Usage, "socket_in_use", "Stop the program that uses it, or name another: "+flag+" unix:/PATH. If none uses it, remove it: rm "+quote(path), "There is a socket at %s already", path)
		}
		other := "name another port: " + flag + " " + otherPort(addr) + inFile(flag)
		if at, err := netip.ParseAddrPort(addr); err == nil && ownsPort(at.Port()) {
			return fault(Usage, "port_in_use", "N"+other[1:]+"; chive status lists those in use", "The port of %s is one that this process itself listens at", addr)
		}
		return fault(Usage, "port_in_use", "Stop the program that has it, or "+other, "The port of %s is taken by another program", addr)
	case redact.AddressForeign:
		return fault(Usage, "listen_address", "Name an address of this machine: "+flag+" IP:PORT.", "%s is not an address of this machine", addr)
	case redact.NotPermitted:
		return fault(Usage, "listen_forbidden", "Use a port above 1023 and a folder that this user may write to.", "This user may not listen at %s", addr)
	case redact.FileNotFound:
		return fault(Usage, "listen_folder", "Make the folder first: mkdir -p "+quote(filepath.Dir(path)), "The folder of %s does not exist", path)
	}
	return fault(Failed, "listen_failed", "Name another address: "+flag+" IP:PORT.", "%s cannot be listened at (%s)", addr, strings.ReplaceAll(reason.String(), "_", " "))
}

// inFile names the key of the configuration that says what a flag of a listener says.
func inFile(flag string) string {
	key := map[string]string{"--socks": "client.socks", "--dns": "client.dns.listen", "--web": "web.listen", "--listen": "relay.listen"}[flag]
	if key == "" {
		return ""
	}
	return ", or in the configuration " + key
}

// otherPort suggests a port near the one that is taken.
func otherPort(addr string) string {
	a, err := netip.ParseAddrPort(addr)
	if err != nil || a.Port() >= 65525 {
		return "IP:PORT"
	}
	return netip.AddrPortFrom(a.Addr(), a.Port()+10).String()
}

// listenPacket opens the socket of a UDP association towards a program.
func listenPacket(addr netip.Addr) (net.PacketConn, error) {
	return net.ListenPacket("udp", netip.AddrPortFrom(addr, 0).String())
}
