"""Do MC and data differ, in what, and is it worth adapting?"""
