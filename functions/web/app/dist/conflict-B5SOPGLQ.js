import{a as o,b as r,c as m}from"/app/chunk-A7MOX47F.js";import"/app/chunk-RO26BZW6.js";import"/app/chunk-G746G3LE.js";export{o as LATER,r as askConflict,m as askConflicts};
