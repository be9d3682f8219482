"""The site: pages of docs/ as they are, and those that are made from code when it is built.

| file         | what                                                                          |
|--------------|-------------------------------------------------------------------------------|
| hooks        | what MkDocs calls while it builds                                             |
| markdown     | links and headings as GitHub reads them                                       |
| repository   | files outside docs/ that pages link to, as pages                              |
| environments | one page for each registered id                                               |
| reference    | one page for each public name                                                 |
| docstrings   | those that are finished when their module is imported                         |
| checking     | links of the finished site                                                    |
"""
