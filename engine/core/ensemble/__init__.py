"""Many signals in, one forecast out, with the weight and the vote of each."""
