import{a as o,b as r,c as m}from"/app/chunk-VNVVUT26.js";import"/app/chunk-NKAOBTJ5.js";import"/app/chunk-SFWXO2HA.js";export{o as LATER,r as askConflict,m as askConflicts};
