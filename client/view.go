// SPDX-License-Identifier: BSD-3-Clause

package client

import "chive/directory/snapshot"

// View returns the list of relays that circuits are chosen from now. It is never nil,
// and stays valid when a newer one has come.
func (c *Client) View() snapshot.View { return c.current().view }
