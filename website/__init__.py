"""The website: the pages of docs/, and pages that are made from code when it is built.

| file         | contents                                                                      |
|--------------|-------------------------------------------------------------------------------|
| hooks        | hooks that MkDocs calls during the build                                      |
| markdown     | links and headings as on GitHub                                               |
| repository   | files outside of docs/ that pages link to                                     |
| environments | one page for each registered id                                               |
| reference    | one page for each public name                                                 |
| docstrings   | docstrings that are completed when their module is imported                   |
| checking     | links of the finished site                                                    |
"""
