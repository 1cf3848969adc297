"""A Streamlit page with nothing but its title: what bench.pages compares ours with."""

import streamlit as st

st.title("Empty")
