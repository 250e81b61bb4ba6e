// SPDX-License-Identifier: BSD-3-Clause

package main

import (
	"net/netip"
	"net/url"
	"os"
	"slices"
	"strings"

	"chive/internal/config"
)

// checkSurroundings looks for ways by which programs of this machine go around the
// proxy. Spec: product CLI-11.
func (d *doctor) checkSurroundings() {
	if d.noClient() {
		return
	}
	var socks, dns []string
	for _, l := range d.cfg.Client.Listeners() {
		if !l.Address.IsOff() {
			socks = append(socks, l.Address.Or(config.DefaultSocks))
		}
	}
	if d.status != nil {
		if l := listenersOf(d.status, "socks"); len(l) > 0 {
			socks = l
		}
		dns = listenersOf(d.status, "dns")
	}
	if d.withinRun() {
		socks, dns = []string{d.app.env.RunSocks}, []string{runDNS}
	}
	d.found = append(d.found, judgeVariables(os.Environ(), socks)...)
	conf, err := os.ReadFile(resolvFile)
	d.found = append(d.found, judgeNames(string(conf), err == nil, dns))
	if hasRoute("udp4", "192.0.2.1:9") || hasRoute("udp6", "[2001:db8::1]:9") {
		d.warn("bypass", "direct_way", "A program that ignores the proxy reaches the network without it: nothing on this machine stops it.",
			"Start what must not leak with chive run -- COMMAND: it has no network but the proxy.")
	} else {
		d.ok("bypass", "no_way", "A program that ignores the proxy has no way out of this machine.")
	}
	if f := runObstacle(); f != nil {
		d.warn("run", f.Code, sentence("chive run does not work here. "+f.Text), f.Fix)
	}
}

// noClient reports that no client runs here, or is likely to: what programs do with a proxy
// does not matter then.
func (d *doctor) noClient() bool {
	if d.status != nil {
		return d.status.Client == nil && !d.leak
	}
	return d.relayOnly && !d.leak
}

// resolvFile says which name servers the system asks.
const resolvFile = "/etc/resolv.conf"

// judgeNames says where names go that programs look up by themselves. dns are the places
// of the daemon's own name server.
func judgeNames(conf string, known bool, dns []string) finding {
	const check = "names"
	around := "A program that looks names up by itself shows them to "
	fix := "Give programs the proxy as socks5h://, which looks names up at the exit, or start them with chive run."
	if !known {
		return finding{check, levelWarning, "system_resolver", around + "the name servers of this system.", fix}
	}
	var servers []string
	ours := 0
	for line := range strings.Lines(conf) {
		f := strings.Fields(line)
		if len(f) < 2 || f[0] != "nameserver" {
			continue
		}
		servers = append(servers, f[1])
		a, err := netip.ParseAddr(f[1])
		if err == nil && slices.Contains(dns, netip.AddrPortFrom(a, 53).String()) {
			ours++
		}
	}
	switch {
	case len(servers) == 0:
		return finding{check, levelOK, "no_resolver", "This system has no name server in " + resolvFile + ": no name is shown to one.", ""}
	case ours == len(servers):
		return finding{check, levelOK, "own_resolver", "The system asks chive's own DNS port.", ""}
	case ours > 0:
		return finding{check, levelFault, "mixed_resolvers", "The system asks chive's DNS port, and where that does not answer at once, others: names leak by chance.",
			"Leave only chive's address in " + resolvFile + "."}
	}
	if a, err := netip.ParseAddr(servers[0]); err == nil && a.IsLoopback() {
		around += "a resolver on this machine, which asks others: "
	}
	return finding{check, levelWarning, "system_resolver", around + strings.Join(servers, ", ") + ".", fix}
}

// proxyNames are the variables that name a proxy, without their case.
var proxyNames = []string{"ALL_PROXY", "HTTP_PROXY", "HTTPS_PROXY"}

// judgeVariables says what the proxy variables of an environment mean, if the proxy is
// at one of socks.
func judgeVariables(env, socks []string) (out []finding) {
	const check = "environment"
	const again = `Set all of them: eval "$(chive env)"`
	say := func(level, code, text, fix string) { out = append(out, finding{check, level, code, text, fix}) }
	values := map[string]string{}
	for _, e := range env {
		if name, value, _ := strings.Cut(e, "="); strings.HasSuffix(strings.ToUpper(name), "_PROXY") && value != "" {
			values[name] = value
		}
	}
	set := 0
	for _, name := range proxyNames {
		for _, n := range []string{name, strings.ToLower(name)} {
			value := values[n]
			if value == "" {
				continue
			}
			set++
			u, err := url.Parse(value)
			switch {
			case err != nil || u.Host == "":
				say(levelFault, "proxy_unclear", n+" is no address of a proxy: programs may ignore it and go around.", again)
			case !slices.Contains(socks, u.Host):
				say(levelWarning, "proxy_elsewhere", n+" names another proxy than chive's, which is at "+strings.Join(socks, ", ")+".", again)
			case u.Scheme == "socks5" || u.Scheme == "socks4":
				say(levelFault, "proxy_local_names", n+" begins with "+u.Scheme+"://: curl and others then look names up by themselves, where others see them.", "Write socks5h:// instead. "+again)
			}
		}
	}
	if set == 0 {
		say(levelWarning, "no_variables", "No variable names a proxy: programs started from here do not use chive unless told to.", `Say so to this shell: eval "$(chive env)". Or start one program: chive run -- COMMAND`)
		return out
	}
	for _, name := range proxyNames {
		if values[strings.ToLower(name)] == "" {
			say(levelWarning, "variable_missing", strings.ToLower(name)+" is not set: programs that read only this one go around the proxy.", again)
		}
	}
	for _, n := range []string{"NO_PROXY", "no_proxy"} {
		for host := range strings.SplitSeq(values[n], ",") {
			host = strings.TrimSpace(host)
			a, err := netip.ParseAddr(host)
			if host == "" || host == "localhost" || err == nil && a.IsLoopback() {
				continue
			}
			say(levelFault, "no_proxy_open", n+" has programs go around the proxy to "+host+".", "Take it out: "+n+"=localhost,127.0.0.1,::1")
		}
	}
	if len(out) == 0 {
		say(levelOK, "proxied", "The variables lead programs to chive's proxy, names included.", "")
	}
	return out
}
