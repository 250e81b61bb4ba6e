// SPDX-License-Identifier: BSD-3-Clause

package torlab

import (
	"fmt"
	"os"
	"strings"

	"chive/bench/lab"
)

// role of each member, by its number; the authorities have none.
var role = [members]lab.Role{"", "", "", lab.Guard, lab.Guard, lab.Middle, lab.Middle, lab.Exit}

// commonLines are in every torrc. Build times are not learnt: what a client learns
// in an empty network makes it give up circuits under load.
func (k *Keys) commonLines(m Mode, folder string) []string {
	lines := []string{
		"TestingTorNetwork 1",
		"DataDirectory " + folder,
		"Log notice stdout",
		"RunAsDaemon 0",
		"ShutdownWaitLength 0",
		fmt.Sprintf("__OwningControllerProcess %d", os.Getpid()), // ends when this process does
		"AvoidDiskWrites 1",
		"LearnCircuitBuildTimeout 0",
		"CircuitBuildTimeout 60",
	}
	for i := range authorities {
		r := &k.relay[i]
		lines = append(lines, fmt.Sprintf("DirAuthority %s orport=%d no-v2 v3ident=%s 127.0.0.1:%d %s",
			r.nick, r.orPort, r.v3ident, r.dirPort, r.fingerprint))
	}
	return append(lines, m.options...)
}

// relayTorrc is the configuration of member i. The authorities vote every five
// seconds until they have agreed once, and then not for an hour: what they agreed
// on serves for every run.
func (k *Keys) relayTorrc(m Mode, i int, folder string) string {
	r := &k.relay[i]
	lines := append(k.commonLines(m, folder),
		"Nickname "+r.nick,
		"ContactInfo none",
		"Address 127.0.0.1",
		"AddressDisableIPv6 1",
		fmt.Sprintf("ORPort 127.0.0.1:%d IPv4Only", r.orPort),
		"SocksPort 0",
		"AssumeReachable 1",
		"ServerDNSDetectHijacking 0",
		"ServerDNSTestAddresses",
		"ServerDNSResolvConfFile /dev/null",
		"ServerDNSAllowBrokenConfig 1",
	)
	if i < authorities {
		lines = append(lines,
			"AuthoritativeDirectory 1",
			"V3AuthoritativeDirectory 1",
			fmt.Sprintf("DirPort 127.0.0.1:%d IPv4Only", r.dirPort),
			"TestingV3AuthInitialVotingInterval 5", // the shortest, as are the delays
			"TestingV3AuthInitialVoteDelay 2",
			"TestingV3AuthInitialDistDelay 2",
			"V3AuthVotingInterval 3600",
			"AuthDirTestReachability 0", // and take every member for running
			"TestingDirAuthVoteGuard *",
			"TestingDirAuthVoteHSDir *",
			"TestingDirAuthVoteExit "+k.having(lab.Exit),
			"ConsensusParams "+strings.Join(m.params, " "),
		)
	}
	if role[i] == lab.Exit {
		// A policy for loopback only is published as one that permits nothing. The
		// bench's clients ask for loopback and for nothing else.
		lines = append(lines, "ExitRelay 1", "ExitPolicyRejectPrivate 0", "ExitPolicy accept *:*")
	} else {
		lines = append(lines, "ExitRelay 0", "ExitPolicy reject *:*")
	}
	return strings.Join(lines, "\n") + "\n"
}

// clientTorrc is the configuration of a client.
func (k *Keys) clientTorrc(m Mode, folder string, socks uint16, control string) string {
	lines := append(k.commonLines(m, folder),
		"ClientOnly 1",
		fmt.Sprintf("SocksPort 127.0.0.1:%d", socks),
		"ControlPort unix:"+control,
		"CookieAuthentication 0",
		"EntryNodes "+k.having(lab.Guard),
		"MiddleNodes "+k.having(lab.Middle),
		"ExitNodes "+k.having(lab.Exit),
		"StrictNodes 1",
	)
	return strings.Join(lines, "\n") + "\n"
}

// having lists the relays of a role.
func (k *Keys) having(want lab.Role) string { return strings.Join(k.named(want), ",") }

func (k *Keys) named(want lab.Role) []string {
	var out []string
	for i, r := range role {
		if r == want {
			out = append(out, "$"+k.relay[i].fingerprint)
		}
	}
	return out
}

// path names the first relay of each role, as EXTENDCIRCUIT takes it.
func (k *Keys) path() string {
	return k.named(lab.Guard)[0] + "," + k.named(lab.Middle)[0] + "," + k.named(lab.Exit)[0]
}
