"""What the server of worker processes imports first: it makes objects that stay, not garbage."""

import gc

gc.disable()  # looking for garbage was a tenth of its time; workers do again
