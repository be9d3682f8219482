"""Rankings: which channels are kept.

| file        | contents                                                                  |
|-------------|---------------------------------------------------------------------------|
| importance  | orders of a unit's channels, by name or by a user's function              |
| order       | the orders of all units, checked                                          |
| sensitivity | how much errors in a layer's output change the loss                       |
"""
