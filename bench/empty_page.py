"""What bench.pages compares our pages with: a Streamlit page with its title alone, or with few parts."""

import streamlit as st

st.title("Empty")
# The least that a page about runs can be: something to choose by, and a table.
if "table" in st.query_params:
    st.text_input("Search")
    st.selectbox("Sort by", ["accuracy", "loss"])
    st.dataframe({f"column {number}": list(range(25)) for number in range(8)})
