"""Which channels stay.

| file        | what                                                                      |
|-------------|---------------------------------------------------------------------------|
| importance  | orders of a unit's channels, by name or by a function of the user's       |
| order       | the orders of all units, checked                                          |
| sensitivity | how much the loss reacts to errors in a layer's output                    |
"""
