"""An agent to be killed: acknowledges the first five messages only.  Argument: the broker's port."""

import sys

from edgead.bridge.client import Bridge
from edgead.bridge.inbox import Inbox, Incoming
from edgead.bridge.settings import BridgeSettings
from edgead.bridge.topics import Topics


def main(port: int) -> None:
    inbox = Inbox()
    bridge = Bridge(BridgeSettings(port=port, client_id="edgead-gw1"), Topics("gw1"), ["plant/#"], inbox)
    bridge.start()
    seen = 0
    while True:
        for each in inbox.take(timeout_s=0.1):
            if type(each) is Incoming:
                seen += 1
                if seen <= 5:
                    bridge.acknowledge([each.token])
        print(bridge.subscribed, seen, flush=True)


if __name__ == "__main__":
    main(int(sys.argv[1]))
