// SPDX-License-Identifier: BSD-3-Clause

package config

import (
	"encoding/hex"
	"fmt"
	"net/netip"
	"net/url"
	"path/filepath"
	"strconv"
	"strings"
	"unicode"
)

// accepts says which addresses a key takes beside IP:PORT.
type accepts struct {
	usual  string // what auto stands for, and what is shown as a good address
	noAuto bool
	noOff  bool
	noTCP  bool
	noUnix bool
	beside bool // a relative path of a socket begins at the file's folder; else it is refused
	remote bool // other machines may reach it; else loopback only
	// fixRemote is what to do about an address that other machines reach.
	fixRemote string
}

// addressField keeps an address.
type addressField struct {
	to *Address
	accepts
}

func (f addressField) show() any { return string(*f.to) }

func (f addressField) set(v value, base string) *refusal {
	text, r := v.word("an address", strconv.Quote(f.usual))
	if r != nil {
		return r
	}
	if path, isUnix := strings.CutPrefix(text, unixPrefix); isUnix && f.beside && path != "" && !filepath.IsAbs(path) {
		text = unixPrefix + filepath.Join(base, path)
	}
	a, r := f.parse(text)
	if r == nil {
		*f.to = a
	}
	return r
}

// addressesField keeps a list of addresses; off is none.
type addressesField struct {
	to *[]Address
	accepts
}

func (f addressesField) show() any {
	out := []string{}
	for _, a := range *f.to {
		out = append(out, string(a))
	}
	return out
}

func (f addressesField) set(v value, _ string) *refusal {
	out := []Address{}
	if (v.kind == textValue || v.kind == bareValue) && v.text == string(Off) {
		*f.to = out
		return nil
	}
	for _, item := range v.list() {
		text, r := item.word("an address", "["+strconv.Quote(f.usual)+"]")
		var a Address
		if r == nil {
			a, r = f.parse(text)
		}
		if r != nil {
			r.item = &item
			return r
		}
		out = append(out, a)
	}
	if len(out) > MaxListeners {
		return &refusal{code: "too_many", says: fmt.Sprintf("names more than %d addresses", MaxListeners), fix: "Name fewer: one serves any number of programs."}
	}
	*f.to = out
	return nil
}

// parse reads one address. Names are not looked up: only localhost is known.
func (f accepts) parse(text string) (Address, *refusal) {
	literal := strconv.Quote(f.usual)
	switch {
	case text == string(Auto) && !f.noAuto, text == string(Off) && !f.noOff:
		return Address(text), nil
	case strings.HasPrefix(text, unixPrefix) && !f.noUnix:
		path := strings.TrimPrefix(text, unixPrefix)
		if !filepath.IsAbs(path) && !(f.beside && path != "") || len(path) > MaxSocketPath {
			return "", &refusal{code: "socket_path", says: fmt.Sprintf("is not unix: and an absolute path of at most %d bytes", MaxSocketPath), literal: `"unix:/run/chive/..."`}
		}
		return Address(text), nil
	case strings.HasPrefix(text, unixPrefix):
		return "", &refusal{code: "address", says: "is a unix socket, which cannot be used here", literal: literal}
	case f.noTCP:
		return "", &refusal{code: "address", says: "is not auto, off, or unix: and a path", literal: literal}
	}
	host, port, split := strings.Cut(text, ":")
	if at := strings.LastIndexByte(text, ':'); split {
		host, port = text[:at], text[at+1:]
	}
	if n, err := strconv.ParseUint(port, 10, 64); split && (err == nil && n > 65535 || strings.HasPrefix(port, "-")) {
		return "", &refusal{code: "port", says: "has a port that is not from 1 to 65535", literal: literal}
	}
	if host == "localhost" {
		text = "127.0.0.1:" + port
	}
	addr, err := netip.ParseAddrPort(text)
	switch {
	case err != nil && !split && isNumber(text):
		return "", &refusal{code: "address", says: "is a port without an address", literal: strconv.Quote("127.0.0.1:" + text)}
	case err != nil && split && host == "":
		return "", &refusal{code: "address", says: "has no address before the port", literal: strconv.Quote("127.0.0.1:" + port)}
	case err != nil:
		return "", &refusal{code: "address", says: "is not an IP address with a port", literal: literal}
	case !f.remote && !addr.Addr().Unmap().IsLoopback():
		return "", &refusal{code: "remote", says: "would let other machines in", literal: literal, fix: f.fixRemote}
	}
	return Address(addr.String()), nil
}

// checkNickname takes what an operator calls a relay.
func checkNickname(text string) *refusal {
	odd := func(r rune) bool {
		return !(r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r >= '0' && r <= '9' || r == '-' || r == '_')
	}
	if len(text) > MaxNicknameSize || strings.ContainsFunc(text, odd) {
		return &refusal{code: "nickname", says: fmt.Sprintf("is not at most %d letters, digits, - and _", MaxNicknameSize), fix: "Choose another."}
	}
	return nil
}

func checkContact(text string) *refusal {
	if len(text) > MaxContactSize || strings.ContainsFunc(text, unicode.IsControl) {
		return &refusal{code: "contact", says: fmt.Sprintf("is not one line of at most %d bytes", MaxContactSize), fix: "Shorten it to a mail address or a page."}
	}
	return nil
}

// checkPublished takes an address that others are told.
func checkPublished(text string) *refusal {
	a, err := netip.ParseAddrPort(text)
	if err != nil || a.Port() == 0 || a.Addr().IsUnspecified() || a.Addr().IsMulticast() || a.Addr().Zone() != "" {
		return &refusal{code: "address", says: "is not an IP address with a port that others can reach", literal: `["203.0.113.5:9240"]`}
	}
	return nil
}

// maxPerVersion bounds a relay's addresses of one IP version (directory §3).
const maxPerVersion = 2

// checkVersions takes addresses that checkPublished took: at most two of each IP version.
func checkVersions(texts []string) *refusal {
	count := map[bool]int{}
	for _, text := range texts {
		if a, err := netip.ParseAddrPort(text); err == nil {
			count[a.Addr().Unmap().Is4()]++
		}
	}
	for _, n := range count {
		if n > maxPerVersion {
			return &refusal{code: "too_many", says: fmt.Sprintf("has more than %d addresses of one IP version", maxPerVersion), fix: "Name two IPv4 and two IPv6 addresses at most."}
		}
	}
	return nil
}

// ridSize is the size of a relay's id in bytes.
const ridSize = 16

// checkPeer takes RID@IP:PORT.
func checkPeer(text string) *refusal {
	name, where, _ := strings.Cut(text, "@")
	raw, err := hex.DecodeString(name)
	if err != nil || len(raw) != ridSize || checkPublished(where) != nil {
		return &refusal{
			code: "peer", says: "is not a relay's RID and address",
			fix: "Write RID@IP:PORT. chive network show prints the RIDs of founders, a relay's own chive status that of a relay.",
		}
	}
	return nil
}

// upstreamField keeps a proxy to dial through. Its address may hold a password, which
// is shown nowhere.
type upstreamField struct{ to *string }

func (f upstreamField) show() any { return hidePassword(*f.to) }

func (f upstreamField) set(v value, _ string) *refusal {
	text, r := v.word("a proxy's address", `"http://192.0.2.1:3128"`)
	if r != nil {
		return r
	}
	if text == "" || text == string(Off) {
		*f.to = string(Off)
		return nil
	}
	u, err := url.Parse(text)
	if err != nil || u.Scheme != "http" && u.Scheme != "socks5" || u.Hostname() == "" || u.Path != "" && u.Path != "/" ||
		u.RawQuery != "" || u.Fragment != "" || u.Opaque != "" {
		return &refusal{code: "upstream", says: "is neither off nor http://HOST:PORT or socks5://HOST:PORT", literal: `"http://192.0.2.1:3128"`}
	}
	if n, err := strconv.ParseUint(u.Port(), 10, 16); err != nil || n == 0 {
		return &refusal{code: "upstream", says: "has no port from 1 to 65535", literal: strconv.Quote(u.Scheme + "://" + u.Hostname() + ":3128")}
	}
	*f.to = text
	return nil
}

// hidePassword shows a proxy's address without its password.
func hidePassword(text string) string {
	u, err := url.Parse(text)
	if err != nil || u.User == nil {
		return text
	}
	if _, has := u.User.Password(); !has {
		return text
	}
	return u.Scheme + "://" + url.PathEscape(u.User.Username()) + ":***@" + u.Host
}
