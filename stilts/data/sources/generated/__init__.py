"""The generated multilingual corpus: English and invented languages that say the same things in other words and orders."""

from stilts.data.sources.generated.write import VERSION as VERSION
from stilts.data.sources.generated.write import generate as generate
